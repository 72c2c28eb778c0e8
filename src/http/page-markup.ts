/** HTML in which escaping is what happens when nobody thinks of it: only markup made by this template goes in unescaped. */

export class Markup {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** Nothing, in any of its spellings, renders as nothing, so that `wanted && html`…`` reads well. */
type Piece = string | number | Markup | false | null | undefined | readonly Piece[]

export function html(fixed: TemplateStringsArray, ...pieces: readonly Piece[]): Markup {
  return new Markup(fixed.reduce((text, part, at) => text + render(pieces[at - 1]) + part))
}

function render(piece: Piece): string {
  if (piece === null || piece === undefined || piece === false) return ''
  if (piece instanceof Markup) return piece.text
  if (typeof piece === 'object') return piece.map(render).join('')
  return escape(String(piece))
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

/** Good for text and for attributes in double or single quotes. */
export function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
}
