/** The documents are in step with the code; and each rule about them is shown a small document that breaks it. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'

import { readSetupText } from '../src/catalog/file.ts'
import { loadCatalog } from '../src/catalog/load.ts'
import { startWorld, type World } from '../test/world.ts'
import {
  brokenReferences,
  type Document,
  errorsOutOfStep,
  outOfStep,
  tableRows,
  unknownAddresses,
  unknownNames,
  unproved,
  untoldSentences,
  yamlBlocks,
} from './doc-rules.ts'
import { filesNamed, problems } from './docs.ts'
import { type JsonObject, openapi } from './openapi.ts'

test('the documents say what the code does', async () => {
  assert.deepEqual(await problems(), [])
})

test('every latchstring.yaml that the documents show is one that the broker takes', async () => {
  const catalog = await loadCatalog(join(import.meta.dirname, '../providers'))
  const anything = new Proxy({}, { getOwnPropertyDescriptor: () => ({ configurable: true, value: SECRET }), get: () => SECRET })
  const shown = filesNamed('.md').flatMap((document) =>
    yamlBlocks(document)
      .filter((block) => /^ *(providers|apps|callers):/m.test(block))
      .map((block) => ({ path: document.path, block })),
  )
  assert.ok(shown.length >= 2)
  for (const { path, block } of shown) assert.doesNotThrow(() => readSetupText(block, path, anything, catalog), path)
})

const SECRET = 'k'.repeat(44)

describe('a broken document is found:', () => {
  const found = (text: string, path = 'docs/errors.md'): string[] =>
    brokenReferences([document(text, path), document('## Here\n', 'README.md')], exists)
  const exists = (path: string) => ['docs/errors.md', 'README.md', 'src/core/token.ts', 'src/core/'].includes(path)

  test('a link that leads nowhere', () => {
    assert.deepEqual(found('[b](../README.md) [here](../README.md#here) [web](https://x.example/y) `[c](c.png)`'), [])
    assert.deepEqual(found('[c](c.png)'), ['docs/errors.md links to c.png, which is not there'])
    assert.deepEqual(found('[b](../README.md#there)'), [
      'docs/errors.md links to ../README.md#there, and there is no such heading',
    ])
    assert.deepEqual(found('# My `own` part\n[own](#my-own-part)'), [])
    assert.deepEqual(found('[own](#my-part)'), ['docs/errors.md links to #my-part, and there is no such heading'])
  })

  test('a file that is named and not there', () => {
    // In two parts, since the house asks of every document that is mentioned whether it is there.
    const missing = ['LICENCE', 'md'].join('.')
    assert.deepEqual(
      found('`src/core/token.ts`, `src/core/`, `providers/acme.yaml`, `providers/*.yaml`, `src/core/token.ts:12`'),
      [],
    )
    assert.deepEqual(found('`src/core/tokens.ts`'), ['docs/errors.md names src/core/tokens.ts, which is not there'])
    assert.deepEqual(found(`\`${missing}\``), [`docs/errors.md names ${missing}, which is not there`])
  })

  test('a command, a variable or a script that is not there', () => {
    const known = {
      commands: new Set(['serve', 'apps', 'apps show']),
      variables: new Set(['LATCHSTRING_PORT']),
      npmScripts: new Set(['demo', 'test']),
    }
    const unknown = (text: string) => unknownNames([document(text)], known)
    assert.deepEqual(
      unknown('`latchstring serve --config latchstring.yaml`, `bin/latchstring apps show github`, `latchstring.yaml`'),
      [],
    )
    assert.deepEqual(unknown('```sh\nbin/latchstring serve &\nLATCHSTRING_TEST_X=1 npm run demo\nnpm ci && npm test\n```'), [])
    assert.deepEqual(unknown('Latchstring serves, and latchstring rotate is prose.'), [])
    assert.deepEqual(unknown('`latchstring rotate`'), ['docs/errors.md names the command latchstring rotate, which is not there'])
    assert.deepEqual(unknown('```sh\nlatchstring apps make x\n```'), [
      'docs/errors.md names the command latchstring apps make, which is not there',
    ])
    assert.deepEqual(unknown('LATCHSTRING_PROT'), ['docs/errors.md names the variable LATCHSTRING_PROT, which is not there'])
    assert.deepEqual(unknown('`npm run build`'), ['docs/errors.md names npm run build, which is not there'])
  })

  test('an address that is not served', () => {
    const served = ['/api/v1/apps', '/api/v1/apps/:key_code_ref', '/connect/:handle', '/oauth2/token']
    const unknown = (text: string) => unknownAddresses([document(text)], served)
    assert.deepEqual(
      unknown('`GET /api/v1/apps/{key_code_ref}`, localhost:4400/connect/<handle>, under `/api/v1`, POST /oauth2/token.'),
      [],
    )
    assert.deepEqual(unknown('`GET /api/v1/webhooks`'), ['docs/errors.md names /api/v1/webhooks, which is not served'])
    assert.deepEqual(unknown('`/oauth2/introspect`'), ['docs/errors.md names /oauth2/introspect, which is not served'])
  })

  test('an error that is missing, made up, or told with another status', () => {
    const statuses = { NOT_FOUND: 404, CONFLICT: 409 }
    const wrong = (text: string) => errorsOutOfStep('docs/errors.md', text, statuses, /^[A-Z_]+$/)
    assert.deepEqual(wrong('| `NOT_FOUND` | 404 | x | y |\n| `CONFLICT` | 409 | x | y |\n| `lower` | 400 | x | y |'), [])
    assert.deepEqual(wrong('| `NOT_FOUND` | 404 |\n| `GONE` | 410 |'), [
      'docs/errors.md does not tell of the error CONFLICT',
      'docs/errors.md tells of the error GONE, which is not there',
    ])
    assert.deepEqual(wrong('| `NOT_FOUND` | 404 |\n| `CONFLICT` | 400 |'), ['docs/errors.md says 400 of CONFLICT, which is 409'])
  })

  test('a table that lacks a name, or has one too many', () => {
    const rows = tableRows('| field | |\n| --- | --- |\n| `a` | x |\n| `b`, `c` | y |', /^/)
    assert.deepEqual(
      [...rows],
      [
        ['a', 'x'],
        ['b', 'y'],
        ['c', 'y'],
      ],
    )
    assert.deepEqual(outOfStep('d', 'field', rows.keys(), ['a', 'b', 'd']), [
      'd does not tell of the field d',
      'd tells of the field c, which is not there',
    ])
  })

  test('a page whose sentence is told nowhere', () => {
    const pages =
      "failedPage({ what: 'It broke.', remedy: 'Wait.' }); x({ what: late ? 'Too late.' : 'Gone.' }); y({ what: `${who} said no.` })"
    assert.deepEqual(untoldSentences('d', 'It broke. Too late. Gone. … said no.', pages), [])
    assert.deepEqual(untoldSentences('d', 'It broke. Too late.', pages), [
      'd does not tell of the page that says "Gone."',
      'd does not tell of the page that says "… said no."',
    ])
  })

  test('a guarantee that no test has in its title', () => {
    const tests = [document("test('S-90 F-91 nothing breaks', …) // S-92 is elsewhere", 'a.test.ts')]
    assert.deepEqual(unproved('d', 'S-90, F-91', tests), [])
    assert.deepEqual(unproved('d', 'S-92, S-92', tests), ['d names S-92, and no test has it in its title'])
  })
})

describe('docs/openapi.json', () => {
  const described = openapi() as JsonObject & { paths: Paths; components: { schemas: Record<string, object> } }
  const operations = Object.entries(described.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  )

  test('every schema is one, and every reference leads to one', () => {
    const ajv = judge()
    for (const { operation } of operations)
      for (const { schema } of shapesOf(operation)) assert.doesNotThrow(() => ajv.compile(schema))
  })

  test('every example fits its schema', () => {
    const ajv = judge()
    let judged = 0
    for (const { operation } of operations) {
      for (const { schema, examples } of shapesOf(operation)) {
        for (const example of examples) {
          assert.ok(ajv.validate(schema, example), `${operation.operationId}: ${ajv.errorsText()} in ${JSON.stringify(example)}`)
          judged++
        }
      }
    }
    assert.ok(judged > operations.length)
  })

  test('every operation has a name of its own, an example of what it answers, and each parameter of its path', () => {
    const names = operations.map(({ operation }) => operation.operationId)
    assert.deepEqual(names, [...new Set(names)])
    for (const { path, operation } of operations) {
      const inPath = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path').map(({ name }) => name)
      assert.deepEqual(
        inPath,
        [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name),
      )
      if (path.startsWith('/api/'))
        assert.ok(operation.responses['200']?.content?.['application/json']?.example, operation.operationId)
    }
  })

  describe('and the server', () => {
    let world: World
    before(async () => {
      world = await startWorld()
    })
    after(() => world[Symbol.asyncDispose]())

    test('know the same addresses, and each asks for a bearer where it says so', async () => {
      for (const { path, method, operation } of operations) {
        const answer = await fetch(world.url + path.replaceAll(/\{\w+\}/g, 'x'), { method: method.toUpperCase() })
        const asked = operation.security?.some((way) => 'bearer' in way) ?? false
        assert.ok(
          asked ? answer.status === 403 : answer.status in operation.responses,
          `${method} ${path} answers ${answer.status}`,
        )
        assert.ok(answer.status in operation.responses)
        const shape = operation.responses[answer.status]?.content?.['application/json']?.schema
        if (!shape) continue
        const ajv = judge()
        assert.ok(ajv.validate(local(shape), await answer.json()), `${method} ${path}: ${ajv.errorsText()}`)
      }
    })
  })

  function judge(): Ajv2020 {
    const ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false, allErrors: true })
    formats.default(ajv)
    const components = Object.entries(described.components.schemas)
    for (const [name, schema] of components) ajv.addSchema(local(schema), name)
    return ajv
  }

  function shapesOf({ requestBody, parameters = [], responses }: Operation) {
    const contents = [requestBody, ...Object.values(responses)].flatMap((part) => Object.values(part?.content ?? {}))
    return [...parameters, ...contents].flatMap(({ schema, example, examples }) =>
      schema
        ? [
            {
              schema: local(schema),
              examples: [example, ...Object.values(examples ?? {}).map(({ value }) => value)].filter(
                (value) => value !== undefined,
              ),
            },
          ]
        : [],
    )
  }
})

type Paths = Readonly<Record<string, Readonly<Record<string, Operation>>>>

interface Operation {
  readonly operationId: string
  readonly parameters?: readonly (Shape & { readonly name: string; readonly in: string })[]
  readonly security?: readonly object[]
  readonly requestBody?: Body
  readonly responses: Readonly<Record<string, Body>>
}

interface Body {
  readonly content?: Readonly<Record<string, Shape>>
}

interface Shape {
  readonly schema?: object
  readonly example?: unknown
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>
}

/** With references as ajv looks them up. */
function local(schema: object): object {
  return JSON.parse(JSON.stringify(schema).replaceAll('#/components/schemas/', '')) as object
}

function document(text: string, path = 'docs/errors.md'): Document {
  return { path, text }
}
