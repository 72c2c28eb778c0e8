/** The rules of the house as pure functions over a list of files, so that each can be shown a small bad example. */

import { dirname, join } from 'node:path/posix'

export interface File {
  readonly path: string // from the root of the house, with forward slashes
  readonly text: string
}

export interface Rule {
  readonly name: string
  readonly remedy: string
  /** The files that break the rule, each with a word on how. */
  readonly broken: (files: readonly File[]) => readonly string[]
}

/** Where a room's runtime code may import from besides itself; a room that is not listed may do as it likes. */
const DOORS: Readonly<Record<string, readonly string[]>> = {
  'src/core': [],
  'src/*': ['src/core'], // every other folder of src
  src: ['src', 'src/core', 'src/*'], // main.ts, which introduces everyone
  sdk: [],
  sandbox: ['node', 'package'],
  console: ['sdk', 'package'],
  cli: ['src', 'src/core', 'src/*', 'sdk', 'sandbox', 'node', 'package'],
}

const PLAINTEXT_ROOMS = ['src/http', 'src/modes', 'src/seal', 'src/events']
const THE_CONTRACT = 'sdk/src/wire.ts'

const UNFINISHED = /\b(TODO|FIXME|XXX)\b/
/** Where a home folder begins on the machines that people write code on. */
const SOMEBODYS_MACHINE = /(?<![\w.:)}/*])\/(home|Users|root|work|workspaces?)\/(?!\*)[\w.-]/

export const RULES: readonly Rule[] = [
  {
    name: 'core imports nothing but core',
    remedy: 'let main.ts pass it in through ports.ts',
    broken: (files) =>
      edges(files)
        .filter(({ from }) => from === 'src/core')
        .filter(strays)
        .map(arrow),
  },
  {
    name: 'siblings in src never import each other; they meet in core, and main.ts introduces them',
    remedy: 'move what they share into core, or have main.ts pass it in',
    broken: (files) =>
      edges(files)
        .filter(({ from }) => from !== 'src/core' && isSrc(from))
        .filter(strays)
        .map(arrow),
  },
  {
    name: 'the SDK imports nothing, not even from Node, since it runs everywhere',
    remedy: 'write the few lines it needs, or leave it to the caller',
    broken: (files) =>
      edges(files)
        .filter(({ from }) => from === 'sdk')
        .filter(strays)
        .map(arrow),
  },
  {
    name: 'the sandbox, the console and the command line keep to their own doors',
    remedy: 'the sandbox knows nothing of the broker; the console talks only through the SDK; neither needs our tests',
    broken: (files) =>
      edges(files)
        .filter(({ from }) => ['sandbox', 'console', 'cli'].includes(from))
        .filter(strays)
        .map(arrow),
  },
  {
    name: 'no file is part of a circle at run time',
    remedy: 'one of the two belongs in a third file',
    broken: circles,
  },
  {
    name: 'every file of code opens with a sentence saying what it is for',
    remedy: 'start it with /** … */',
    broken: (files) =>
      files
        .filter(isCode)
        .filter(({ text }) => !/^(#!.*\n)?\/\*\*\s/.test(text))
        .map(({ path }) => path),
  },
  {
    name: 'only src/config.ts reads the environment',
    remedy: 'add the setting to src/config.ts and pass it on',
    broken: (files) =>
      lines(
        files.filter(isProgram).filter(({ path }) => /^(src|cli|sandbox|sdk|console)\//.test(path) && path !== 'src/config.ts'),
        /\bprocess\??\.env\b|\{[^}]*\benv\b[^}]*\}\s*=\s*process\b|import \{[^}]*\benv\b[^}]*\} from '(node:)?process'/,
      ),
  },
  {
    name: 'secrets are opened only where they leave the process',
    remedy: `pass the Secret along unopened; plaintext belongs in ${PLAINTEXT_ROOMS.join(', ')}`,
    broken: (files) =>
      lines(
        files.filter(isProgram).filter(({ path }) => isSrc(roomOf(path)) && !PLAINTEXT_ROOMS.includes(folderOf(path))),
        /[\w)\]!?]\.reveal\(/,
      ),
  },
  {
    name: 'no file is named after nothing',
    remedy: 'name it after what is in it',
    broken: (files) =>
      files
        .filter(({ path }) => /(^|\/)(utils?|helpers?|common|shared|misc|types|index)(\.test)?\.(ts|tsx|mjs|js)$/.test(path))
        .map(({ path }) => path),
  },
  {
    name: 'nothing is left for later',
    remedy: 'finish it, or leave it out and say so in the documents',
    broken: (files) => lines(files.filter(isProse), UNFINISHED),
  },
  {
    name: 'no path leads to somebody’s own machine',
    remedy: 'write it from the root of the house',
    broken: (files) => lines(files.filter(isProse), SOMEBODYS_MACHINE),
  },
  {
    name: 'every document that is mentioned is there',
    remedy: 'correct the name, or say it without the document',
    broken: missingDocuments,
  },
  {
    name: 'no type is any, and none is waved through',
    remedy: 'unknown asks to be looked at first; a wrong type wants fixing',
    broken: (files) =>
      lines(
        files
          .filter(isProse)
          .filter(isCode)
          .filter(({ path }) => path.endsWith('.ts')),
        /^(?!\s*(\*|\/\/|\/\*))[^'"`]*?(:|<|\bas|\|)\s*any\b(?!['"`\w ])|@ts-(ignore|nocheck)\b|@ts-expect-error(?!: \w)/,
      ),
  },
  {
    name: 'the broker speaks through its log',
    remedy: 'use the logger that main.ts passes in',
    broken: (files) =>
      lines(
        files.filter(isProgram).filter(({ path }) => isSrc(roomOf(path))),
        /^(?!\s*(\*|\/\/|\/\*)).*\bconsole\.(log|info|warn|error|debug)\(/,
      ),
  },
  {
    name: 'no test sleeps for a fixed time',
    remedy: 'wait for the fact itself, or move the clock; if the time is the point, say so: // on purpose: …',
    broken: (files) =>
      lines(
        files.filter(isProse).filter(({ path }) => path.endsWith('.test.ts')),
        /^(?!.*\/\/ on purpose: ).*(await (setTimeout|sleep|delay|wait)\(|new Promise(<\w+>)?\(\((\w+)\) => (void )?setTimeout\(\4\b)/,
      ),
  },
  {
    name: 'no package that the broker needs runs a script when it is installed',
    remedy: 'choose another package: an install script is somebody else’s program with our rights',
    broken: scriptedDependencies,
  },
  {
    name: 'every package that the broker needs is known by its hash',
    remedy: 'npm install writes it; a package without one could be another tomorrow',
    broken: unhashedDependencies,
  },
  {
    name: 'the lock file knows every platform',
    remedy:
      'npm leaves out what its registry could not find, and then "npm ci" refuses: add version, os, cpu and "optional" by hand',
    broken: unlockedPlatforms,
  },
  {
    name: 'every package that the broker needs has its line in docs/decisions/*dependencies*.md',
    remedy: 'write down what it is for and why this one',
    broken: undecidedDependencies,
  },
]

interface Edge {
  readonly importer: string
  readonly imported: string // a path, or the name of a package
  readonly from: string // the room of the importer
  readonly to: string // the room of the imported, or 'node' or 'package'
  readonly types: boolean // erased before anything runs
}

/** Every import of a program; tests may look wherever they need to. */
function edges(files: readonly File[]): Edge[] {
  return files.filter(isProgram).flatMap((file) =>
    importsOf(file).map(({ target, types }) => {
      const imported = target.startsWith('.') ? join(dirname(file.path), target) : target
      return { importer: file.path, imported, from: roomOf(file.path), to: roomOfImport(target, imported), types }
    }),
  )
}

function importsOf({ text }: File): { target: string; types: boolean }[] {
  const statements = text.matchAll(/^(?:import|export)\s+(type\s)?(?:[^'"`;]*?\sfrom\s+)?['"]([^'"]+)['"]/gm)
  const calls = text.matchAll(/(typeof\s+)?\bimport\(\s*['"]([^'"]+)['"]\s*\)(\.[A-Z])?/g)
  return [...statements, ...calls].map(([, isType, target = '', member]) => ({ target, types: (isType ?? member) !== undefined }))
}

function strays({ importer, imported, from, to, types }: Edge): boolean {
  if (from === 'src' && to === 'src') return imported === 'src/main.ts'
  if (from === to && to !== 'src/*') return false
  if (to === 'src/*' && folderOf(importer) === folderOf(imported)) return false
  // The one exception of the house: the compiler holds the server to the published contract.
  if (types && folderOf(importer) === 'src/http' && imported === THE_CONTRACT) return false
  // Which packages src uses is decided in docs/decisions, not by folder.
  if (isSrc(from) && (to === 'node' || to === 'package')) return false
  return !(DOORS[from] ?? []).includes(to)
}

function circles(files: readonly File[]): string[] {
  const next = new Map<string, string[]>()
  for (const { importer, imported, types } of edges(files))
    if (!types) next.set(importer, [...(next.get(importer) ?? []), imported])
  const reach = (from: string, seen = new Set<string>()): Set<string> => {
    for (const to of next.get(from) ?? []) if (!seen.has(to)) reach(to, seen.add(to))
    return seen
  }
  return [...next.keys()].filter((path) => reach(path).has(path))
}

/** By any name that ends like its path: a sentence may say storage.md and mean docs/storage.md. Addresses on the web are not ours. */
function missingDocuments(files: readonly File[]): string[] {
  const documents = files.map(({ path }) => `/${path}`).filter((path) => path.endsWith('.md'))
  const exists = (name: string) => documents.some((path) => path.endsWith(`/${name.replace(/^(\.{1,2}\/)+/, '')}`))
  return files
    .filter(isProse)
    .flatMap(({ path, text }) =>
      [...text.matchAll(/(?<![\w@:*/.-])(?:[\w.-]+\/)*[\w.-]+\.md\b/g)]
        .filter(([name]) => !exists(name))
        .map(([name]) => `${path} mentions ${name}`),
    )
}

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>
}

interface Lock {
  readonly packages?: Readonly<Record<string, Locked>>
}

interface Locked {
  readonly hasInstallScript?: boolean
  readonly dev?: boolean
  readonly devOptional?: boolean
  readonly optional?: boolean
  readonly link?: boolean
  readonly integrity?: string
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

function scriptedDependencies(files: readonly File[]): string[] {
  const lock: Lock = JSON.parse(textOf(files, 'package-lock.json') ?? '{}')
  return Object.entries(lock.packages ?? {})
    .filter(([, { hasInstallScript, dev, devOptional }]) => hasInstallScript && !dev && !devOptional)
    .map(([path]) => path)
}

function unhashedDependencies(files: readonly File[]): string[] {
  const lock: Lock = JSON.parse(textOf(files, 'package-lock.json') ?? '{}')
  return Object.entries(lock.packages ?? {})
    .filter(
      ([path, { link, dev, optional, devOptional }]) => /node_modules\//.test(path) && !link && !dev && !optional && !devOptional,
    )
    .filter(([, { integrity }]) => !integrity?.startsWith('sha512-'))
    .map(([path]) => path)
}

/** A package lies beside the one that wants it, or higher up; for our purpose anywhere will do. */
function unlockedPlatforms(files: readonly File[]): string[] {
  const { packages = {} }: Lock = JSON.parse(textOf(files, 'package-lock.json') ?? '{}')
  const names = new Set(
    Object.keys(packages).map((path) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)),
  )
  return Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies)
      .filter((name) => !names.has(name))
      .map((name) => `${name}, for ${path}`),
  )
}

function undecidedDependencies(files: readonly File[]): string[] {
  // Nothing can be missing from decisions that nobody has begun to write down.
  if (!files.some(({ path }) => path.startsWith('docs/decisions/'))) return []
  const manifest: Manifest = JSON.parse(textOf(files, 'package.json') ?? '{}')
  const decided = files.filter(({ path }) => /^docs\/decisions\/[^/]*dependencies[^/]*\.md$/.test(path)).map(({ text }) => text)
  return Object.keys(manifest.dependencies ?? {}).filter((name) => !decided.some((text) => mentions(text, name)))
}

/** As a word of its own: `ajv` is not mentioned by `ajv-formats`. */
function mentions(text: string, name: string): boolean {
  return text.split(/[^\w@/.-]+/).some((word) => word.replace(/[.:]+$/, '') === name)
}

/** The room that a file is in: 'src/core', 'src/*' for its other folders, 'src' for the files at its root, else the first folder. */
function roomOf(path: string): string {
  const folder = folderOf(path)
  return folder.startsWith('src/') && folder !== 'src/core' ? 'src/*' : folder
}

function folderOf(path: string): string {
  const [first = '', second = '', ...deeper] = path.split('/')
  if (first === 'sdk') return second === 'src' ? 'sdk' : 'sdk/test'
  return first === 'src' && deeper.length > 0 ? `src/${second}` : path.includes('/') ? first : ''
}

function roomOfImport(target: string, imported: string): string {
  if (target.startsWith('.')) return roomOf(imported)
  if (/^@latchstring\/sdk(\/|$)/.test(target)) return 'sdk'
  return target.startsWith('node:') ? 'node' : 'package'
}

function isSrc(room: string): boolean {
  return room === 'src' || room.startsWith('src/')
}

function isCode({ path }: File): boolean {
  return /\.(ts|tsx|mjs|js)$/.test(path) || path.startsWith('bin/')
}

function isProgram(file: File): boolean {
  return isCode(file) && !/\.test\.tsx?$/.test(file.path)
}

/** Whatever people wrote and people read; the rules themselves have to name what they forbid. */
function isProse({ path }: File): boolean {
  return !/^(package-lock\.json|LICENSE|test\/house-rules\.ts|test\/tidy\.test\.ts)$/.test(path)
}

function lines(files: readonly File[], pattern: RegExp): string[] {
  return files.flatMap(({ path, text }) =>
    text.split('\n').flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}: ${line.trim().slice(0, 100)}`] : [])),
  )
}

function textOf(files: readonly File[], wanted: string): string | undefined {
  return files.find(({ path }) => path === wanted)?.text
}

function arrow({ importer, imported }: Edge): string {
  return `${importer} -> ${imported}`
}
