/** The house rules that a machine can check. Each failure says what to do about it, and each rule is shown to catch what it forbids. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, resolve, sep } from 'node:path'
import { describe, test } from 'node:test'
import { type File, RULES } from './house-rules.ts'

const ROOT = resolve(import.meta.dirname, '..')
const NOT_OURS = new Set(['.git', 'node_modules', 'tools', 'data', 'dist', 'artefacts'])

const house = filesIn(ROOT)

describe('in this house', () => {
  for (const { name, remedy, broken } of RULES) {
    test(name, () => {
      const offenders = broken(house)
      assert.deepEqual(offenders, [], `${remedy}:\n  ${offenders.join('\n  ')}`)
    })
  }
})

/** Per rule: what it must catch and what it must let pass, each a small house of its own. */
const EXAMPLES: Readonly<Record<string, { readonly bad: readonly House[]; readonly good: readonly House[] }>> = {
  'core imports nothing but core': {
    bad: [
      { 'src/core/token.ts': `import { open } from '../seal/envelope.ts'` },
      { 'src/core/token.ts': `import type { Row } from '../store/rows.ts'` },
      { 'src/core/token.ts': `import {\n  a,\n  b,\n} from '../log.ts'` },
      { 'src/core/token.ts': `export { serve } from '../main.ts'` },
      { 'src/core/token.ts': `const log = await import('../log.ts')` },
      { 'src/core/token.ts': `import '../store/sqlite.ts'` },
      { 'src/core/token.ts': `import { ApiException } from '@latchstring/sdk'` },
      { 'src/core/token.ts': `import type { TokenAnswer } from '../../sdk/src/wire.ts'` },
      { 'src/core/token.ts': `import { world } from '../../test/world.ts'` },
    ],
    good: [
      { 'src/core/token.ts': `import { Secret } from './secret.ts'` },
      { 'src/core/token.test.ts': `import { MemoryStore } from '../store/memory.ts'` },
    ],
  },
  'siblings in src never import each other; they meet in core, and main.ts introduces them': {
    bad: [
      { 'src/http/token.ts': `import { sqlite } from '../store/sqlite.ts'` },
      { 'src/store/sqlite.ts': `import type { Config } from '../config.ts'` },
      { 'src/modes/quirks/acme.ts': `import { ask } from '../../net/fetch.ts'` },
      { 'src/jobs/sweep.ts': `import { sandbox } from '../../sandbox/start.ts'` },
      { 'src/http/reply.ts': `import { world } from '../../test/world.ts'` },
      { 'src/http/reply.ts': `import { CODES } from '../../sdk/src/wire.ts'` },
      { 'src/http/reply.ts': `import type { Options } from '../../sdk/src/options.ts'` },
      { 'src/events/hook.ts': `import type { Wire } from '../../sdk/src/wire.ts'` },
      { 'src/main.ts': `import { command } from '../cli/serve.ts'` },
      { 'src/log.ts': `import { start } from './main.ts'` },
    ],
    good: [
      {
        'src/http/token.ts': `import { token } from '../core/token.ts'\nimport { reply } from './reply.ts'\nimport fastify from 'fastify'`,
      },
      { 'src/modes/quirks/acme.ts': `import { judge } from '../oauth2-answer.ts'` },
      { 'src/http/reply.ts': `import type { TokenAnswer } from '../../sdk/src/wire.ts'` },
      { 'src/main.ts': `import { sqlite } from './store/sqlite.ts'\nimport { load } from './config.ts'` },
      { 'src/store/sqlite.test.ts': `import { start } from '../main.ts'` },
    ],
  },
  'the SDK imports nothing, not even from Node, since it runs everywhere': {
    bad: [
      { 'sdk/src/client.ts': `import { setTimeout } from 'node:timers/promises'` },
      { 'sdk/src/client.ts': `import { request } from 'undici'` },
      { 'sdk/src/client.ts': `import type { Answer } from '../../src/http/reply.ts'` },
    ],
    good: [
      { 'sdk/src/client.ts': `import type { Wire } from './wire.ts'` },
      { 'sdk/test/fake-broker.ts': `import { createServer } from 'node:http'` },
      { 'sdk/src/client.test.ts': `import { runtime } from '../../scripts/runtimes.mjs'` },
    ],
  },
  'the sandbox, the console and the command line keep to their own doors': {
    bad: [
      { 'sandbox/provider.ts': `import { Secret } from '../src/core/secret.ts'` },
      { 'sandbox/provider.ts': `import { world } from '../test/world.ts'` },
      { 'console/app.ts': `import type { Config } from '../src/config.ts'` },
      { 'cli/serve.ts': `import { world } from '../test/world.ts'` },
    ],
    good: [
      { 'sandbox/provider.ts': `import { createServer } from 'node:http'\nimport { json } from './answer.ts'` },
      { 'console/app.ts': `import { ConnectedAppsApi } from '@latchstring/sdk'` },
      {
        'cli/serve.ts': `import { start } from '../src/main.ts'\nimport { run } from '../sandbox/provider.ts'\nimport { Command } from 'commander'`,
      },
      { 'test/world.ts': `import { start } from '../src/main.ts'\nimport { run } from '../sandbox/provider.ts'` },
    ],
  },
  'no file is part of a circle at run time': {
    bad: [
      { 'src/core/a.ts': `import { b } from './b.ts'`, 'src/core/b.ts': `import { a } from './a.ts'` },
      {
        'cli/a.ts': `import { b } from './b.ts'`,
        'cli/b.ts': `export * from './c.ts'`,
        'cli/c.ts': `const { a } = await import('./a.ts')`,
      },
    ],
    good: [
      { 'src/core/a.ts': `import { b } from './b.ts'`, 'src/core/b.ts': `import type { A } from './a.ts'` },
      {
        'src/core/a.ts': `import { b } from './b.ts'`,
        'src/core/b.ts': `type A = import('./a.ts').A\nlet b: typeof import('./a.ts')`,
      },
    ],
  },
  'every file of code opens with a sentence saying what it is for': {
    bad: [
      { 'src/core/a.ts': `import { b } from './b.ts'` },
      { 'scripts/a.mjs': `// a line comment` },
      { 'bin/a': `#!/usr/bin/env node\nrun()` },
    ],
    good: [
      { 'src/core/a.ts': `/** Says hello. */\n` },
      { 'bin/a': `#!/usr/bin/env node\n/** Says hello. */\nrun()` },
      { 'docs/a.md': `# Hello` },
    ],
  },
  'only src/config.ts reads the environment': {
    bad: [
      { 'src/log.ts': `const level = process.env['LEVEL']` },
      { 'cli/serve.ts': `const { env } = process` },
      { 'sdk/src/client.ts': `const host = process?.env.HOST` },
      { 'src/store/sqlite.ts': `import { env } from 'node:process'` },
    ],
    good: [
      { 'src/config.ts': `load(process.env)` },
      { 'scripts/test.ts': `process.env['CI']` },
      { 'src/store/postgres.test.ts': `process.env['LATCHSTRING_TEST_DATABASE_URL']` },
    ],
  },
  'secrets are opened only where they leave the process': {
    bad: [
      { 'src/core/token.ts': `return token.reveal()` },
      { 'src/store/sqlite.ts': `save(row.secret?.reveal())` },
      { 'src/main.ts': `keys[0]!.reveal()` },
    ],
    good: [
      { 'src/http/token.ts': `return token.reveal()` },
      { 'src/modes/quirks/acme.ts': `secret.reveal()` },
      { 'src/core/secret.ts': `  reveal(): string {` },
      { 'cli/keys.ts': `secret.reveal()` },
      { 'src/core/secret.test.ts': `secret.reveal()` },
    ],
  },
  'no file is named after nothing': {
    bad: [{ 'src/core/utils.ts': '' }, { 'test/helper.ts': '' }, { 'sdk/src/index.ts': '' }, { 'src/common.test.ts': '' }],
    good: [{ 'src/core/one-time.ts': '' }, { 'console/index.html': '' }, { 'src/http/content-types.ts': '' }],
  },
  'nothing is left for later': {
    bad: [{ 'src/core/a.ts': '// TODO: finish' }, { 'docs/a.md': 'FIXME later' }, { '.ci/run': '# XXX' }],
    good: [{ 'src/core/a.ts': `test.todo; const TODOS = 1; 'XXXX'` }],
  },
  'no path leads to somebody’s own machine': {
    bad: [{ 'README.md': 'see /home/ann/latchstring/README.md' }, { 'src/core/a.ts': `const file = '/Users/ann/key'` }],
    good: [{ 'README.md': 'A framework/work/library: https://example.com/home/page, GET /users/me, docs/work/a, /root' }],
  },
  'every document that is mentioned is there': {
    bad: [
      { 'README.md': '[how](docs/storage.md)' },
      { 'src/core/a.ts': '// as storage.md says', 'docs/errors.md': '' },
      { 'docs/a.md': '[see](../SECURITY.md)' },
    ],
    good: [
      { 'README.md': '[how](docs/storage.md#rows), `storage.md`, https://example.com/x.md, *.md', 'docs/storage.md': '' },
      { 'docs/decisions/0001-a.md': '[see](../../SECURITY.md)', 'SECURITY.md': '' },
    ],
  },
  'no type is any, and none is waved through': {
    bad: [
      { 'src/core/a.ts': `function f(a: any) {}` },
      { 'src/core/a.ts': `const a = b as any` },
      { 'src/core/a.ts': `const a = new Map<any, string>()` },
      { 'src/core/a.ts': `let a: string | any[]` },
      { 'src/core/a.ts': '// @ts-ignore' },
      { 'src/core/a.ts': '// @ts-expect-error' },
    ],
    good: [
      {
        'src/core/a.ts': `/** Refuses: any address inside. */\n// as any reader sees\nconst a = 'as any fool: any' // has any\n`,
      },
      { 'src/core/a.ts': `Promise.any(all)` },
      { 'src/core/a.test.ts': '// @ts-expect-error: refused by the types as well' },
    ],
  },
  'the broker speaks through its log': {
    bad: [{ 'src/http/server.ts': `  console.log('listening')` }, { 'src/main.ts': `if (bad) console.error(bad)` }],
    good: [{ 'cli/serve.ts': `console.log('listening')` }, { 'src/log.ts': `// not console.log(…)` }],
  },
  'no test sleeps for a fixed time': {
    bad: [
      { 'src/a.test.ts': `  await setTimeout(100)` },
      { 'src/a.test.ts': `  await sleep(SECOND)` },
      { 'src/a.test.ts': `  await new Promise((resolve) => setTimeout(resolve, 50))` },
      { 'src/a.test.ts': `  await new Promise<void>((done) => void setTimeout(done, 50))` },
    ],
    good: [
      { 'src/a.test.ts': `  await until(() => server.asked === 2)` },
      { 'src/a.test.ts': `  await sleep(20) // on purpose: two writes in one millisecond would sort alike` },
      { 'test/until.ts': `  await sleep(5)` },
    ],
  },
  'no package that the broker needs runs a script when it is installed': {
    bad: [{ 'package-lock.json': JSON.stringify({ packages: { 'node_modules/a': { hasInstallScript: true } } }) }],
    good: [
      {
        'package-lock.json': JSON.stringify({
          packages: { 'node_modules/a': { hasInstallScript: true, dev: true }, 'node_modules/b': {} },
        }),
      },
    ],
  },
  'every package that the broker needs is known by its hash': {
    bad: [
      { 'package-lock.json': JSON.stringify({ packages: { 'node_modules/a': {} } }) },
      { 'package-lock.json': JSON.stringify({ packages: { 'node_modules/a': { integrity: 'sha1-x' } } }) },
    ],
    good: [
      {
        'package-lock.json': JSON.stringify({
          packages: {
            '': {},
            sdk: {},
            'node_modules/sdk': { link: true },
            'node_modules/a': { integrity: 'sha512-x' },
            'node_modules/b': { dev: true },
          },
        }),
      },
    ],
  },
  'the lock file knows every platform': {
    bad: [
      {
        'package-lock.json': JSON.stringify({
          packages: { 'node_modules/a': { optionalDependencies: { '@a/linux': '1.0.0' } } },
        }),
      },
    ],
    good: [
      {
        'package-lock.json': JSON.stringify({
          packages: {
            'node_modules/a': { optionalDependencies: { '@a/linux': '1.0.0' } },
            'node_modules/@a/linux': { optional: true },
          },
        }),
      },
    ],
  },
  'every package that the broker needs has its line in docs/decisions/*dependencies*.md': {
    bad: [
      { 'package.json': needs('ajv'), 'docs/decisions/0002-dependencies.md': '* `ajv-formats`: formats' },
      { 'package.json': needs('ajv'), 'docs/decisions/0001-language.md': '* `ajv`: elsewhere' },
    ],
    good: [
      {
        'package.json': needs('ajv', '@fastify/cookie'),
        'docs/decisions/0002-dependencies.md': '| `ajv` | **@fastify/cookie** |',
      },
      { 'package.json': needs('ajv') },
    ],
  },
}

describe('the rule', () => {
  for (const { name, broken } of RULES) {
    test(`"${name}" catches what it forbids and lets the rest pass`, () => {
      const { bad, good } = EXAMPLES[name] ?? assert.fail('this rule has no examples yet')
      for (const example of bad) assert.notDeepEqual(broken(built(example)), [], `lets pass ${JSON.stringify(example)}`)
      for (const example of good) assert.deepEqual(broken(built(example)), [], `catches ${JSON.stringify(example)}`)
    })
  }

  test('that the examples are about exists', () => {
    assert.deepEqual(Object.keys(EXAMPLES).toSorted(), RULES.map(({ name }) => name).toSorted())
  })
})

test('S-85 our lock file is whole: nothing in it runs at its installation, and a package that another program put there is noticed', () => {
  const supplyChain = RULES.filter(({ name }) => /runs a script|known by its hash/.test(name))
  assert.equal(supplyChain.length, 2)
  const lock = JSON.parse(house.find(({ path }) => path === 'package-lock.json')!.text) as { packages: Record<string, object> }
  const attacked = { ...lock, packages: { ...lock.packages, 'node_modules/thief': { version: '1.0.0', hasInstallScript: true } } }
  const broken = built({ 'package-lock.json': JSON.stringify(attacked) })
  for (const rule of supplyChain) {
    assert.deepEqual(rule.broken(house), [])
    assert.match(rule.broken(broken).join(), /thief/)
  }
})

test('the rules look at the whole house', () => {
  for (const path of [
    'package.json',
    'package-lock.json',
    'bin/latchstring',
    'scripts/run.mjs',
    'test/house-rules.ts',
    '.ci/run',
  ]) {
    assert.ok(
      house.some((file) => file.path === path),
      path,
    )
  }
})

type House = Readonly<Record<string, string>> // a text per path

function built(example: House): File[] {
  return Object.entries(example).map(([path, text]) => ({ path, text }))
}

function needs(...names: string[]): string {
  return JSON.stringify({ dependencies: Object.fromEntries(names.map((name) => [name, '1.0.0'])) })
}

function filesIn(folder: string): File[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    // In a second work tree .git is a file.
    if (NOT_OURS.has(entry.name)) return []
    if (entry.isDirectory()) return filesIn(path)
    if (!entry.isFile()) return []
    const text = readFileSync(path, 'utf8')
    return text.includes('\0') ? [] : [{ path: relative(ROOT, path).replaceAll(sep, '/'), text }] // pictures have no words
  })
}
