/** What must be true of the documents, as pure functions over their text, so that each can be shown a small broken one. */

import { dirname, join } from 'node:path/posix'

export interface Document {
  /** From the root of the repository, with forward slashes. */
  readonly path: string
  readonly text: string
}

/** Files that readers are told to write: they are examples, and not there. */
const TO_BE_WRITTEN = /\bacme\b|^data\//

/** Links that lead nowhere, and files that are named and not there. `exists` takes a path from the root; folders end with a slash. */
export function brokenReferences(documents: readonly Document[], exists: (path: string) => boolean): string[] {
  const headings = new Map(documents.map(({ path, text }) => [path, new Set(headingsOf(text).map(anchorOf))]))
  return documents.flatMap((document) => [
    ...linksOf(document.text).flatMap((target) => brokenLink(document, target, headings, exists)),
    ...filesNamedIn(document.text)
      .filter((name) => !TO_BE_WRITTEN.test(name) && !exists(name) && !exists(join(dirname(document.path), name)))
      .map((name) => `${document.path} names ${name}, which is not there`),
  ])
}

function brokenLink(
  { path }: Document,
  target: string,
  headings: ReadonlyMap<string, ReadonlySet<string>>,
  exists: (path: string) => boolean,
): string[] {
  const [file = '', anchor] = target.split('#')
  const led = file === '' ? path : join(dirname(path), file)
  if (!exists(led)) return [`${path} links to ${target}, which is not there`]
  if (anchor === undefined || headings.get(led)?.has(anchor)) return []
  return [`${path} links to ${target}, and there is no such heading`]
}

function linksOf(text: string): string[] {
  return [...prose(text).matchAll(/\]\(([^()\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target))
}

/** In code style, with a folder in front or a name that can only be a file's. */
function filesNamedIn(text: string): string[] {
  return codeSpans(text).flatMap((span) => {
    const name = span.split(/[ :#]/, 1)[0] ?? ''
    const inFolder = /^(?:\.ci|bench|bin|cli|docs|examples|providers|sandbox|scripts|sdk|src|test)\/[\w./-]*$/.test(name)
    return inFolder || /^[A-Z]+\.md$/.test(name) ? [name] : []
  })
}

/** Commands, variables and scripts that are named and not there. */
export function unknownNames(
  documents: readonly Document[],
  known: {
    readonly commands: ReadonlySet<string>
    readonly variables: ReadonlySet<string>
    readonly npmScripts: ReadonlySet<string>
  },
): string[] {
  return documents.flatMap(({ path, text }) => [
    ...commandsIn(text)
      .filter((words) => !isCommand(words, known.commands))
      .map((words) => `${path} names the command latchstring ${words.join(' ')}, which is not there`),
    ...matches(text, /\bLATCHSTRING_(?!TEST_)[A-Z_]*[A-Z]\b/g)
      .filter((name) => !known.variables.has(name))
      .map((name) => `${path} names the variable ${name}, which is not there`),
    ...matches(code(text), /\bnpm (?:run )?(?:--silent )?([a-z]+)\b/g)
      .filter((script) => !['ci', 'install', 'i', 'run', 'pack', 'view'].includes(script) && !known.npmScripts.has(script))
      .map((script) => `${path} names npm run ${script}, which is not there`),
  ])
}

/** Not a command: the ids of master keys are made from it. */
const MASTER_KEY_ID = /^master key$/

/** The words behind `latchstring` in code: a command, and its subcommand if the next word can be one. */
function commandsIn(text: string): string[][] {
  return [...code(text).matchAll(/(?:^|[\s`"(/])latchstring((?: [a-z][a-z-]*){1,2})(?![\w.:=/])/gm)]
    .map(([, words = '']) => words.trim())
    .filter((words) => !MASTER_KEY_ID.test(words))
    .map((words) => words.split(' '))
}

/** `apps show github` is `apps show`; `serve now` is `serve`. */
function isCommand(words: readonly string[], commands: ReadonlySet<string>): boolean {
  const [first = '', second] = words
  const hasSubcommands = [...commands].some((command) => command.startsWith(`${first} `))
  return commands.has(hasSubcommands && second !== undefined ? `${first} ${second}` : first)
}

/** Names that stand first in the tables of a document, in code style, as they are read there; with the second column. */
export function tableRows(text: string, pattern: RegExp): Map<string, string> {
  const rows = [...text.matchAll(/^\| *((?:`[^`]+`(?:, )?)+) *\| *([^|]*?) *\|/gm)]
  return new Map(
    rows.flatMap(([, names = '', second = '']) =>
      [...names.matchAll(/`([^`]+)`/g)].flatMap(([, name = '']) => (pattern.test(name) ? [[name, second] as const] : [])),
    ),
  )
}

/** What a document lists and the code does not have, and the other way round. */
export function outOfStep(where: string, what: string, told: Iterable<string>, there: Iterable<string>): string[] {
  const [inDocument, inCode] = [new Set(told), new Set(there)]
  return [
    ...[...inCode].filter((name) => !inDocument.has(name)).map((name) => `${where} does not tell of the ${what} ${name}`),
    ...[...inDocument]
      .filter((name) => !inCode.has(name))
      .map((name) => `${where} tells of the ${what} ${name}, which is not there`),
  ]
}

/** Every code with its status, told as it is. */
export function errorsOutOfStep(
  where: string,
  text: string,
  statuses: Readonly<Record<string, number>>,
  pattern: RegExp,
): string[] {
  const told = tableRows(text, pattern)
  const wrong = Object.entries(statuses).filter(([code, status]) => told.has(code) && told.get(code) !== String(status))
  return [
    ...outOfStep(where, 'error', told.keys(), Object.keys(statuses)),
    ...wrong.map(([code, status]) => `${where} says ${told.get(code)} of ${code}, which is ${status}`),
  ]
}

/** What the pages tell end users, which support must be able to look up; `…` stands for a name. `pages` is the code that writes them. */
export function untoldSentences(where: string, text: string, pages: string): string[] {
  return [...pages.matchAll(/\bwhat: (?:\w+ \? )?(['`])(.+?)\1(?: : (['`])(.+?)\3)?/g)]
    .flatMap(([, , first = '', , second]) => (second === undefined ? [first] : [first, second]))
    .map((sentence) => sentence.replaceAll(/\$\{[^}]*\}/g, '…').replace(/…\.$/, '…'))
    .filter((sentence) => !text.includes(sentence))
    .map((sentence) => `${where} does not tell of the page that says "${sentence}"`)
}

/** Numbers of guarantees that no test carries in its title. */
export function unproved(where: string, text: string, tests: readonly Document[]): string[] {
  const titles = tests.flatMap(({ text: source }) => matches(source, /['"`]((?:[SF]-\d{2} )+)/g))
  const titled = new Set(titles.flatMap((numbers) => numbers.trim().split(' ')))
  return [...new Set(matches(text, /\b([SF]-\d{2})\b/g))]
    .filter((number) => !titled.has(number))
    .map((number) => `${where} names ${number}, and no test has it in its title`)
}

export function yamlBlocks({ text }: Document): string[] {
  return [...text.matchAll(/^ *```yaml\n([^]*?)^ *```/gm)].map(([, block = '']) => block)
}

/** Addresses of requests that documents show and the server does not serve. `served` are patterns such as `/api/v1/apps/:key_code_ref`. */
export function unknownAddresses(documents: readonly Document[], served: readonly string[]): string[] {
  const patterns = served.map((path) => new RegExp(`^${path.replaceAll('.', '\\.').replaceAll(/:\w+/g, '[^/]+')}$`))
  return documents.flatMap(({ path, text }) =>
    matches(text, /(?<![\w.])(\/(?:api\/v1|oauth2|connect|connected_apps|\.well-known)\/[\w{}<>.:/-]*[\w}>])/g)
      .map((address) => address.replaceAll(/\{[^}]*\}|<[^>]*>/g, 'x'))
      .filter(
        (address) =>
          !patterns.some((pattern) => pattern.test(address)) && !served.some((route) => route.startsWith(`${address}/`)),
      )
      .map((address) => `${path} names ${address}, which is not served`),
  )
}

function matches(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([whole, group]) => group ?? whole)
}

const FENCE = /^( *)```[^]*?^\1```$/gm

function prose(text: string): string {
  return text.replaceAll(FENCE, '').replaceAll(/`[^`\n]*`/g, '')
}

function code(text: string): string {
  return [...[...text.matchAll(FENCE)].map(([fence]) => fence), ...codeSpans(text).map((span) => `\`${span}\``)].join('\n')
}

function codeSpans(text: string): string[] {
  return matches(text.replaceAll(FENCE, ''), /`([^`\n]+)`/g)
}

function headingsOf(text: string): string[] {
  return matches(text.replaceAll(FENCE, ''), /^#+ +(.+)$/gm)
}

/** As GitHub makes them. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')
}
