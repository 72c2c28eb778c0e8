/** Draws the token path of a run: one bar for each variant, grouped by how many connections asked. */

import { type Figure, plain, type Run } from './figures.ts'

const COLOURS: Readonly<Record<string, string>> = {
  bare: '#9aa5b1',
  route: '#5f6c7b',
  sqlite: '#1f6feb',
  'sqlite-2': '#79b0ff',
  postgresql: '#1a7f37',
  'postgresql-2': '#7fcf93',
}
const WIDTH = 760
const LEFT = 250
const BAR = 18
const GAP = 22
const TOP = 56

export function chart({ machine, at, figures }: Run): string {
  const bars = figures.filter(({ id }) => id.startsWith('token.'))
  const most = Math.max(...bars.map(({ value }) => value))
  const groups = Map.groupBy(bars, ({ id }) => id.split('.')[2] ?? '')
  let y = TOP
  const parts: string[] = []
  for (const [connections, ofGroup] of groups) {
    parts.push(text(12, y + 12, `${connections} ${connections === '1' ? 'connection' : 'connections'}`, 'bold'))
    y += BAR + 4
    for (const figure of ofGroup) {
      parts.push(...bar(figure, y, most))
      y += BAR + 4
    }
    y += GAP
  }
  const title = [text(12, 22, 'Token path, requests a second', 'bold'), text(12, 40, `${machine}; ${at.slice(0, 10)}`)]
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}" font-family="system-ui, sans-serif" font-size="13">
<rect width="100%" height="100%" fill="#ffffff"/>
${[...title, ...parts].join('\n')}
</svg>
`
}

function bar({ id, what, value, more = {} }: Figure, y: number, most: number): string[] {
  const width = Math.max(1, ((WIDTH - LEFT - 190) * value) / most)
  const colour = COLOURS[id.split('.')[1] ?? ''] ?? '#5f6c7b'
  const p99 = more['p99Ms'] === undefined ? '' : `, p99 ${plain(more['p99Ms'])} ms`
  return [
    text(24, y + 13, what.split(', ').slice(2).join(', ')),
    `<rect x="${LEFT}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" fill="${colour}"/>`,
    text(LEFT + width + 6, y + 13, `${plain(value)}${p99}`),
  ]
}

function text(x: number, y: number, words: string, weight = 'normal'): string {
  const safe = words.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  return `<text x="${x.toFixed(1)}" y="${y}" font-weight="${weight}" fill="#1f2328">${safe}</text>`
}
