/** Which fault is shown by which test, read from the titles of the tests. Pure. */

export interface Fault {
  /** Such as F-01. */
  readonly number: string
  readonly what: string
}

interface Source {
  readonly path: string
  readonly text: string
}

/** Whole tests, and the suites that they share. */
const TESTS = /(\.test|\/conformance[^/]*)\.ts$/

/** The rows of a table whose first column is a fault's number. */
export function faultRows(markdown: string): Fault[] {
  return [...markdown.matchAll(/^\| *(F-\d{2}) *\| *(.*?) *\|$/gm)].map(([, number = '', what = '']) => ({ number, what }))
}

/** The files with a test whose title begins with the number, or with others and then it. */
export function shownIn(number: string, sources: readonly Source[]): string[] {
  return sources
    .filter(({ path }) => TESTS.test(path))
    .filter(({ text }) => titleNumbers(text).has(number))
    .map(({ path }) => path)
}

/** A line for each fault, and how many are shown. */
export function proofs(faults: readonly Fault[], sources: readonly Source[]): string {
  const rows = faults.map((fault) => ({ ...fault, files: shownIn(fault.number, sources) }))
  const shown = rows.filter(({ files }) => files.length > 0)
  const lines = rows.map(({ number, what, files }) => `${number}  ${what}\n      ${files.join(' ') || 'not shown by any test'}`)
  return `${lines.join('\n')}\n\n${shown.length} of ${rows.length} faults are shown by tests.\n`
}

/** Titles that no test of the house would have are examples of rules. */
function titleNumbers(text: string): ReadonlySet<string> {
  const titles = text.matchAll(/(?:\b(?:test|describe|it)\(\s*|\btitle: )['"`]((?:[SF]-\d{2} )+)/g)
  return new Set([...titles].flatMap(([, numbers = '']) => numbers.trim().split(' ')))
}
