/** What a command says: results on standard output, everything else on standard error; in colour only where a person looks on. */

import { styleText } from 'node:util'

type Style = Parameters<typeof styleText>[0]

/** A result, for whoever reads or pipes it. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** For programs: the names of the API, and nothing else on standard output. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2))
}

/** The log goes there. That it cannot be written, because the disk is full or its reader has gone, is no reason to end: who serves holds what is nowhere else. */
export function outliveStandardError(): void {
  process.stderr.on('error', () => {})
}

/** About the result, but not it. */
export function remark(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** Plain when standard output is no terminal, or NO_COLOR is set. */
export function styled(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stdout })
}

export interface Column<Row> {
  readonly title: string
  readonly cell: (row: Row) => string | null
}

/** Columns as wide as what is in them; what is not there is a dash. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const cells = rows.map((row) => columns.map(({ cell }) => oneLine(cell(row))))
  const widths = columns.map(({ title }, at) => Math.max(title.length, ...cells.map((row) => row[at]?.length ?? 0)))
  const line = (row: readonly string[]): string =>
    row
      .map((text, at) => text.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd()
  return [styled('bold', line(columns.map(({ title }) => title))), ...cells.map(line)].join('\n')
}

/** One thing: each field on a line of its own. */
export function card(fields: Readonly<Record<string, string | null>>): string {
  const width = Math.max(...Object.keys(fields).map((name) => name.length))
  return Object.entries(fields)
    .map(([name, value]) => `${styled('bold', name.padEnd(width))}  ${oneLine(value)}`)
    .join('\n')
}

/** Names and labels come from elsewhere: nothing in them may move the cursor or begin a line of its own. */
function oneLine(text: string | null): string {
  return text === null || text === '' ? '-' : text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '·')
}
