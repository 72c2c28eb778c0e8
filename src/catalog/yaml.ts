/** Reads one YAML document into plain data that remembers its lines, and collects everything that is wrong with it. */

import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument, type Scalar } from 'yaml'
import { type Mistake, type Path, type Place, pathText, type Source } from './mistake.ts'

const BYTES_MAX = 1024 * 1024
const DEPTH_MAX = 32
/** As keys they would reach into the objects that hold them. */
const PROTOTYPE_KEYS = new Set(['__proto__', 'constructor', 'prototype'])

export interface Read {
  readonly value: unknown
  readonly source: Source
  readonly mistakes: readonly Mistake[]
  /** Paths of the values that could not be resolved: there is nothing in them to be wrong. */
  readonly unresolved: ReadonlySet<string>
}

/** What a text value stands for; says what is wrong with it by calling `wrong`. */
export type Resolve = (text: string, wrong: (message: string) => void) => string

/** Data is returned as far as it could be read, so that what is wrong inside it can be told along with the rest. */
export function readYaml(text: string, name: string, resolve: Resolve = (same) => same): Read {
  const reader = new Reader(name, resolve)
  if (Buffer.byteLength(text) > BYTES_MAX) {
    return reader.refuse('is larger than 1 MiB: split it')
  }
  try {
    return reader.read(text)
  } catch (error) {
    // The parser calls itself once per level.
    if (error instanceof RangeError) return reader.refuse('is nested too deeply')
    throw error
  }
}

class Reader {
  readonly #name: string
  readonly #resolve: Resolve
  readonly #lines = new LineCounter()
  readonly #mistakes: Mistake[] = []
  readonly #values = new Map<string, number>()
  readonly #keys = new Map<string, number>()
  readonly #unresolved = new Set<string>()

  constructor(name: string, resolve: Resolve) {
    this.#name = name
    this.#resolve = resolve
  }

  read(text: string): Read {
    const document = parseDocument(text, {
      version: '1.2',
      schema: 'core',
      merge: false,
      prettyErrors: false,
      uniqueKeys: false, // told below, with both lines
      lineCounter: this.#lines,
    })
    for (const { code, message, pos } of [...document.errors, ...document.warnings])
      this.#wrong([], pos[0], PARSER_WORDS[code] ?? message)
    const value = this.#plain(document.contents, [])
    return { value, source: this.#source(), mistakes: this.#mistakes, unresolved: this.#unresolved }
  }

  refuse(message: string): Read {
    this.#mistakes.push({ file: this.#name, place: null, path: '', message })
    return { value: null, source: this.#source(), mistakes: this.#mistakes, unresolved: this.#unresolved }
  }

  #plain(node: Node | null, path: Path): unknown {
    if (node === null) return null
    const begin = node.range?.[0] ?? 0
    this.#values.set(pathText(path), begin)
    // Aliases can turn a few lines into billions of values. Without anchors there are none.
    if (isAlias(node)) return this.#wrong(path, begin, 'is an alias (*): write the value out')
    if (node.anchor !== undefined) this.#wrong(path, begin, 'has an anchor (&): write the value out where it is needed')
    if (path.length > DEPTH_MAX) return this.#wrong(path, begin, 'is nested too deeply')
    if (isMap(node)) return this.#map(node.items as Pair<Node, Node | null>[], path)
    if (isSeq(node)) return node.items.map((item, index) => this.#plain(item as Node | null, [...path, index]))
    return this.#scalar(node, path, begin)
  }

  #map(pairs: readonly Pair<Node, Node | null>[], path: Path): Record<string, unknown> {
    const result: Record<string, unknown> = {}
    const first = new Map<string, number>()
    for (const { key, value } of pairs) {
      const begin = key.range?.[0] ?? 0
      if (!isScalar(key)) {
        this.#wrong(path, begin, 'has a key that is a list or a map: a key is a name')
        continue
      }
      const name = String(key.value)
      const here = [...path, name]
      const earlier = first.get(name)
      if (PROTOTYPE_KEYS.has(name)) this.#wrong(path, begin, `must not have a key ${name}`)
      else if (earlier !== undefined) {
        this.#wrong(here, begin, `stands here twice: the first is on line ${this.#lines.linePos(earlier).line}`)
      } else {
        first.set(name, begin)
        this.#keys.set(pathText(here), begin)
        this.#values.set(pathText(here), begin)
        result[name] = this.#plain(value, here)
      }
    }
    return result
  }

  #scalar({ value }: Scalar, path: Path, begin: number): unknown {
    if (typeof value !== 'string') return value
    return this.#resolve(value, (message) => {
      this.#unresolved.add(pathText(path))
      this.#wrong(path, begin, message)
    })
  }

  #wrong(path: Path, offset: number, message: string): null {
    this.#mistakes.push({ file: this.#name, place: this.#place(offset), path: pathText(path), message })
    return null
  }

  #source(): Source {
    return {
      name: this.#name,
      valueAt: (path) => this.#nearest(this.#values, path),
      keyAt: (path) => this.#nearest(this.#keys, path),
    }
  }

  /** What is not there is looked for in what is around it. */
  #nearest(offsets: ReadonlyMap<string, number>, path: Path): Place | null {
    const offset = offsets.get(pathText(path)) ?? this.#values.get(pathText(path))
    if (offset !== undefined) return this.#place(offset)
    return path.length > 0 ? this.#nearest(this.#values, path.slice(0, -1)) : null
  }

  #place(offset: number): Place {
    const { line, col } = this.#lines.linePos(offset)
    return { line: Math.max(line, 1), column: Math.max(col, 1) }
  }
}

/** Where the parser's own message does not say what to do. */
const PARSER_WORDS: Readonly<Record<string, string>> = {
  MULTIPLE_DOCS: 'begins a second document (---): one file holds one',
  TAG_RESOLVE_FAILED: 'has a tag (!): write a plain value',
  TAB_AS_INDENT: 'is indented with a tab: use spaces',
  BAD_INDENT: 'is indented differently from what it belongs to',
}
