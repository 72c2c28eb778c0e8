/**
 * Builds sdk/dist, and tries it as a stranger would: packed by npm, unpacked into an empty folder, imported by plain Node and
 * compiled against, with Node's types and with a browser's. Ends with 1 and says why if anything is not as it should be.
 *
 *   node scripts/build-sdk.ts
 */

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'

const ROOT = resolve(import.meta.dirname, '..')
const SDK = join(ROOT, 'sdk')
const TSC = join(ROOT, 'node_modules/@typescript/native/bin/tsc')
const EXPORTS = [
  'ApiException',
  'ArgumentError',
  'ConnectedAppsApi',
  'ConnectionError',
  'TimeoutError',
  'WebhookError',
  'readCallback',
  'readWebhook',
]

const stranger = mkdtempSync(join(tmpdir(), 'latchstring-sdk-'))
try {
  rmSync(join(SDK, 'dist'), { recursive: true, force: true })
  run(process.execPath, [TSC, '--project', 'tsconfig.build.json'], SDK)
  await lint()
  unpackInto(stranger)
  importIn(stranger)
  compileIn(stranger, 'node', {
    lib: ['ES2022'],
    types: ['node'],
    typeRoots: [join(ROOT, 'node_modules/@types')],
  })
  compileIn(stranger, 'browser', { lib: ['ES2022', 'DOM'], types: [] })
  console.log('sdk/dist is built; packed, it can be imported and compiled against.')
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
} finally {
  rmSync(stranger, { recursive: true, force: true })
}

async function lint(): Promise<void> {
  const manifest = JSON.parse(readFileSync(join(SDK, 'package.json'), 'utf8'))
  const { messages } = await publint({ pkgDir: SDK, strict: true })
  const complaints = messages.map((message) => formatMessage(message, manifest) ?? message.code)
  if (manifest.dependencies || manifest.peerDependencies) complaints.push('sdk/package.json has dependencies; it is to have none')
  for (const name of readdirSync(join(SDK, 'dist'))) {
    const foreign = /^(?:import|export|\}).* from '(?!\.\/)([^']+)';$/m.exec(readFileSync(join(SDK, 'dist', name), 'utf8'))?.[1]
    if (foreign !== undefined) complaints.push(`sdk/dist/${name} imports ${foreign}; it is to run wherever there is fetch`)
  }
  if (complaints.length > 0) throw new Error(complaints.join('\n'))
}

function unpackInto(folder: string): void {
  const [packed] = JSON.parse(npm(['pack', '--json', '--ignore-scripts', '--pack-destination', folder], SDK))
  const paths: string[] = packed.files.map(({ path }: { path: string }) => path)
  const strays = paths.filter((path) => !/^(dist\/[\w-]+\.(js|d\.ts)|package\.json|README\.md|CHANGELOG\.md|LICENSE)$/.test(path))
  if (strays.length > 0) throw new Error(`the package would carry ${strays.join(', ')}`)
  const home = join(folder, 'node_modules/@latchstring/sdk')
  mkdirSync(home, { recursive: true })
  run('tar', ['-xzf', join(folder, packed.filename), '-C', home, '--strip-components=1'], folder)
}

function importIn(folder: string): void {
  const program = `
    import * as sdk from '@latchstring/sdk'
    const names = Object.keys(sdk).sort().join()
    if (names !== '${EXPORTS.join()}') throw new Error('the package exports ' + names)
    const api = new sdk.ConnectedAppsApi({ accessToken: 'x', fetch: async () => Response.json({ access_token: 'it works' }) })
    const { body } = await api.getConnectedAppToken({ session_id: 's1' })
    if (body.access_token !== 'it works') throw new Error('it does not work')
  `
  writeFileSync(join(folder, 'stranger.mjs'), program)
  run(process.execPath, ['stranger.mjs'], folder)
}

/** Its declarations are checked too: whoever has skipLibCheck off must not trip over them. */
function compileIn(folder: string, name: string, options: Readonly<Record<string, unknown>>): void {
  const program = `
    import { ApiException, ConnectedAppsApi, type ConnectionItem, type ErrorCode } from '@latchstring/sdk'
    const api = new ConnectedAppsApi({ host: 'https://connect.example.com', clientId: 'a', clientSecret: 'b', fetch })
    const { body } = await api.getConnectedAppToken({ session_id: 's1' }, { timeout: { connect: 1, read: 2 } })
    export const token: string = body.access_token
    export const stream: ReadableStream<Uint8Array> = (await api.getConnection('s1', { stream: true })).body
    export const all: AsyncIterable<ConnectionItem> = api.allConnections({ user_id: 1n, state: undefined })
    export const known: ErrorCode | (string & {}) | undefined = new ApiException(400, '', undefined, new Headers()).code
    // @ts-expect-error: a key that the broker does not know
    await api.getConnectedAppToken({ sessionId: 's1' })
    // @ts-expect-error: two ways to a bearer
    new ConnectedAppsApi({ accessToken: 'x', clientId: 'a', clientSecret: 'b' })
  `
  const compilerOptions = {
    target: 'ES2022',
    module: 'NodeNext',
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    noEmit: true,
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  writeFileSync(join(folder, 'stranger.ts'), program)
  const files = name === 'node' ? ['stranger.ts', ...examplesIn(folder)] : ['stranger.ts']
  writeFileSync(join(folder, `${name}.json`), JSON.stringify({ compilerOptions: { ...compilerOptions, ...options }, files }))
  run(process.execPath, [TSC, '--project', `${name}.json`], folder)
}

/** Every program that the README shows, as a file of its own. */
function examplesIn(folder: string): string[] {
  const readme = readFileSync(join(SDK, 'README.md'), 'utf8')
  const programs = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, program = '']) => program)
  if (programs.length === 0) throw new Error('sdk/README.md shows no program')
  return programs.map((program, index) => {
    const name = `readme-${index + 1}.ts`
    writeFileSync(join(folder, name), program)
    return name
  })
}

function npm(args: readonly string[], cwd: string): string {
  // Under "npm run" the very npm that started us.
  const own = process.env['npm_execpath']
  return own && basename(own) === 'npm-cli.js' ? run(process.execPath, [own, ...args], cwd) : run('npm', args, cwd)
}

function run(program: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd, encoding: 'utf8' })
  if (status === 0) return stdout
  throw new Error(`${program} ${args.join(' ')}\n${error?.message ?? ''}${stdout ?? ''}${stderr ?? ''}`)
}
