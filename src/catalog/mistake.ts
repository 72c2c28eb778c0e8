/** What is wrong in a file that people write, where, and what would be right: all of it at once. */

/** Keys and list positions from the top of the document. */
export type Path = readonly (string | number)[]

export interface Place {
  readonly line: number
  readonly column: number
}

/** A document, and where in it things stand. */
export interface Source {
  readonly name: string
  /** Where the value stands, or what is around it if it is not there; null: the document has no lines. */
  valueAt(path: Path): Place | null
  keyAt(path: Path): Place | null
}

export interface Mistake {
  readonly file: string
  readonly place: Place | null
  readonly path: string
  readonly message: string
}

export class CatalogError extends Error {
  override readonly name = 'CatalogError'
  readonly mistakes: readonly Mistake[]

  constructor(mistakes: readonly Mistake[]) {
    super(mistakes.map(sentence).join('\n'))
    this.mistakes = mistakes
  }
}

export function throwIfAny(mistakes: readonly Mistake[]): void {
  if (mistakes.length > 0) throw new CatalogError([...mistakes].sort(byPlace))
}

export function mistakeAt(source: Source, path: Path, message: string): Mistake {
  return { file: source.name, place: source.valueAt(path), path: pathText(path), message }
}

export function mistakeAtKey(source: Source, path: Path, message: string): Mistake {
  return { file: source.name, place: source.keyAt(path), path: pathText(path), message }
}

/** Something that did not come from a file, such as the body of a request. */
export function withoutLines(name: string): Source {
  return { name, valueAt: () => null, keyAt: () => null }
}

/** The known name that is closest to a mistyped one, if it is close at all. */
export function nearest(name: string, known: readonly string[]): string | null {
  const ranked = known.map((candidate) => ({ candidate, distance: distance(name.toLowerCase(), candidate.toLowerCase()) }))
  const best = ranked.sort((a, b) => a.distance - b.distance)[0]
  return best && best.distance <= Math.max(1, Math.floor(name.length / 3)) ? best.candidate : null
}

function sentence({ file, place, path, message }: Mistake): string {
  const where = place ? `${file}:${place.line}:${place.column}` : file
  return `${where}: ${path && `${path}: `}${message}`
}

function byPlace(a: Mistake, b: Mistake): number {
  return (
    a.file.localeCompare(b.file) || (a.place?.line ?? 0) - (b.place?.line ?? 0) || (a.place?.column ?? 0) - (b.place?.column ?? 0)
  )
}

/** `apps[0].client_id` */
export function pathText(path: Path): string {
  return path.reduce<string>(
    (text, step) => (typeof step === 'number' ? `${text}[${step}]` : text ? `${text}.${step}` : step),
    '',
  )
}

/** Letters to change, leave out, put in or swap with the next. Names are short; a long one is no typing mistake and costs nothing. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 8 || a.length > 64) return Number.POSITIVE_INFINITY
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, column) => column)]
  const at = (row: number, column: number) => rows[row]?.[column] ?? Number.POSITIVE_INFINITY
  for (let row = 1; row <= a.length; row++) {
    const line = [row]
    rows.push(line)
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1]
      const swapped = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      const changed = at(row - 1, column - 1) + (same ? 0 : 1)
      line[column] = Math.min(
        changed,
        at(row - 1, column) + 1,
        at(row, column - 1) + 1,
        swapped ? at(row - 2, column - 2) + 1 : changed,
      )
    }
  }
  return at(a.length, b.length)
}
