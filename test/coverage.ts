/** Which fault or attack is shown by which test, read from the titles of the tests. Pure. */

export interface Numbered {
  /** Such as F-01. */
  readonly number: string
  readonly what: string
  /** Why no test shows it; empty: one does. */
  readonly excuse: string
}

interface Source {
  readonly path: string
  readonly text: string
}

/** Whole tests, and the suites that they share. */
const TESTS = /(\.test|\/conformance[^/]*)\.ts$/

/** The rows of a table whose first column is a number of that letter. */
export function numberedRows(markdown: string, letter: 'F' | 'S'): Numbered[] {
  const rows = markdown.matchAll(new RegExp(`^\\| *(${letter}-\\d{2}) *\\| *(.*?) *\\|(?: *(.*?) *\\|)?$`, 'gm'))
  return [...rows].map(([, number = '', what = '', excuse = '']) => ({ number, what, excuse }))
}

/** The files with a test whose title begins with the number, or with others and then it. */
export function shownIn(number: string, sources: readonly Source[]): string[] {
  return sources
    .filter(({ path }) => TESTS.test(path))
    .filter(({ text }) => titleNumbers(text).has(number))
    .map(({ path }) => path)
}

/** A line for each, and how many are shown. `kind`: faults, attacks. */
export function proofs(numbered: readonly Numbered[], sources: readonly Source[], kind: string): string {
  const rows = numbered.map((one) => ({ ...one, files: shownIn(one.number, sources) }))
  const shown = rows.filter(({ files }) => files.length > 0)
  const lines = rows.map(
    ({ number, what, excuse, files }) => `${number}  ${what}\n      ${files.join(' ') || excuse || 'not shown by any test'}`,
  )
  return `${lines.join('\n')}\n\n${shown.length} of ${rows.length} ${kind} are shown by tests.\n`
}

/** Titles that no test of the house would have are examples of rules. */
function titleNumbers(text: string): ReadonlySet<string> {
  const titles = text.matchAll(/(?:\b(?:test|describe|it|check)\(\s*|\btitle: )['"`]((?:[SF]-\d{2} )+)/g)
  return new Set([...titles].flatMap(([, numbers = '']) => numbers.trim().split(' ')))
}
