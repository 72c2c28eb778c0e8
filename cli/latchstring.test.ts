/** The command line as a whole: what it explains, and how it refuses. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import type { Command } from 'commander'
import manifest from '../package.json' with { type: 'json' }
import { VARIABLES } from '../src/config.ts'
import { failureOf } from './failure.ts'
import { createProgram } from './program.ts'
import { shell } from './shell.ts'

describe('latchstring', { concurrency: 4 }, () => {
  test('every command says what it does, with examples, and those that end in a result can say it in JSON', () => {
    const commands = everyCommand(createProgram())
    assert.ok(commands.length > 20)
    for (const command of commands) {
      const help = helpOf(command)
      assert.match(help, /\nExamples:\n {2}\S/, command.name())
      assert.ok(command.description().length > 10, command.name())
      if (command.commands.length === 0) assert.match(help, /--json/, command.name())
    }
  })

  test('the help lists every environment variable', () => {
    const program = createProgram()
    const serve = program.commands.find((command) => command.name() === 'serve')!
    for (const help of [helpOf(program), helpOf(serve)])
      for (const { name } of VARIABLES) assert.match(help, new RegExp(`\\n {2}${name} `))
  })

  test('help and version are answers, and go to standard output', async (t) => {
    const { run } = shell(t)
    const [help, version, nothing] = await Promise.all([run('callers', 'create', '--help'), run('--version'), run()])
    assert.equal(help.code, 0)
    assert.match(help.stdout, /Usage: latchstring callers create/)
    assert.deepEqual(version, { code: 0, stdout: `${manifest.version}\n`, stderr: '' })
    assert.equal(nothing.code, 2)
    assert.match(nothing.stderr, /Usage: latchstring/)
  })

  test('a mistyped command or option is refused with the nearest name', async (t) => {
    const { run } = shell(t)
    const [command, below, option] = await Promise.all([run('srve'), run('callers', 'creat'), run('serve', '--prt', '1')])
    assert.match(command.stderr, /^latchstring: unknown command 'srve'\n\(Did you mean serve\?\)/)
    assert.match(below.stderr, /Did you mean create\?/)
    assert.match(option.stderr, /^latchstring: unknown option '--prt'\n\(Did you mean --port\?\)/)
    for (const { code, stdout } of [command, below, option]) assert.deepEqual({ code, stdout }, { code: 2, stdout: '' })
  })

  test('S-47 without a master key nothing starts and nothing is stored, and the message says how to make one', async (t) => {
    const { run, write, folder } = shell(t, { LATCHSTRING_MASTER_KEY: '' })
    const file = write('latchstring.yaml', 'apps: []')
    for (const { code, stdout, stderr } of await Promise.all([run('serve'), run('apply', '-f', file), run('callers', 'list')])) {
      assert.match(stderr, /LATCHSTRING_MASTER_KEY is not set.*openssl rand -base64 32/)
      assert.deepEqual({ code, stdout }, { code: 2, stdout: '' })
    }
    assert.ok(!existsSync(join(folder, 'data')))
  })

  test('a master key that is none is refused and not shown', async (t) => {
    const { run, folder } = shell(t, { LATCHSTRING_MASTER_KEY: 'too-short-to-be-one' })
    const { code, stderr } = await run('serve')
    assert.equal(code, 2)
    assert.match(
      stderr,
      /master key 1 of 1 is not 32 bytes in base64: give it as it was made, or .*make one with `openssl rand -base64 32`/,
    )
    assert.doesNotMatch(stderr, /too-short/)
    assert.ok(!existsSync(join(folder, 'data')))
  })

  test('a database that was not there is told of, and one that was is not', async (t) => {
    const here = shell(t)
    const first = await here.run('connections', 'list')
    assert.match(
      first.stderr,
      /^There was no database \/.*\/data\/latchstring\.db: a new one is made\. LATCHSTRING_DATABASE_URL /,
    )
    assert.deepEqual([first.code, (await here.run('connections', 'list')).stderr], [0, ''])
  })

  test('a database that cannot be made, or looked at, is not said to be a new one', async (t) => {
    const { run } = shell(t, { LATCHSTRING_DATABASE_URL: 'sqlite:/dev/null/latchstring.db' })
    const { code, stderr } = await run('connections', 'list')
    assert.equal(code, 1)
    assert.match(stderr, /^latchstring: cannot create or write the database .*\n$/)
  })

  test('another master key than the one that everything is sealed under opens nothing, and the message says what to do', async (t) => {
    const here = shell(t)
    assert.equal((await here.run('apps', 'list')).code, 0)
    const there = shell(t, { LATCHSTRING_DATABASE_URL: `sqlite:${join(here.folder, 'data', 'latchstring.db')}` })
    const { code, stdout, stderr } = await there.run('apps', 'list')
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(
      stderr,
      /^latchstring: .* needs the master key \w{16}, .*; LATCHSTRING_MASTER_KEY, or its file, must have the key/,
    )
  })

  test('all mistakes of the configuration are told at once, by the name under which they were made', async (t) => {
    const { run } = shell(t, { LATCHSTRING_PUBLIC_URL: 'http://connect.example.com', LATCHSTRING_PROT: '1' })
    const { code, stderr } = await run('serve', '--port', 'many')
    assert.equal(code, 2)
    assert.match(stderr, /--port must be a whole number/)
    assert.match(stderr, /LATCHSTRING_PUBLIC_URL must be https/)
    assert.match(stderr, /LATCHSTRING_PROT is not a variable/)
  })

  test('a database that is none of ours is a sentence, not a stack', async (t) => {
    const { run, write } = shell(t, { LATCHSTRING_DATABASE_URL: 'sqlite:latchstring.db' })
    write('latchstring.db', 'a shopping list'.repeat(100))
    const { code, stderr } = await run('apps', 'list')
    assert.equal(code, 1)
    assert.match(stderr, /^latchstring: cannot open the database latchstring\.db: it is not a SQLite database[^\n]*\n$/)
  })

  test('a port that is taken is a sentence that says what to do', async (t) => {
    const server = createServer()
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
    t.after(() => server.close())
    const { port } = server.address() as AddressInfo
    const { run } = shell(t)
    const [serve, sandbox] = await Promise.all([run('serve', '--port', String(port)), run('sandbox', '--port', String(port))])
    for (const { code, stdout, stderr } of [serve, sandbox]) {
      assert.deepEqual({ code, stdout }, { code: 1, stdout: '' })
      assert.match(stderr, new RegExp(`latchstring: port ${port} is taken: .*--port`))
      assert.doesNotMatch(stderr, /\n {4}at /)
    }
  })

  test('a result that cannot be written is told of; one that nobody reads any more is not', async (t) => {
    const here = shell(t)
    const bin = join(import.meta.dirname, 'latchstring.ts')
    const piped = (into: string) => {
      const command = `"${process.execPath}" --disable-warning=ExperimentalWarning "${bin}" --help ${into}`
      return promisify(execFile)('sh', ['-c', command], { cwd: here.folder }).catch((error: unknown) => error)
    }
    const [full, closed] = await Promise.all([piped('> /dev/full'), piped('| true')])
    const told = 'latchstring: what was asked for cannot be written to standard output (ENOSPC)\n'
    assert.deepEqual(pick(full), { code: 1, stderr: told })
    assert.deepEqual(pick(closed), { code: 0, stderr: '' })
  })

  test('whatever is thrown becomes a sentence', () => {
    for (const thrown of [
      new TypeError('x is not a function'),
      'a string',
      null,
      undefined,
      { code: 'ELSE', syscall: 'listen' },
    ]) {
      const { sentence, exitCode } = failureOf(thrown)
      assert.equal(exitCode, 1)
      assert.doesNotMatch(sentence, /\n/)
    }
  })
})

function pick(ended: unknown): { code: unknown; stderr: unknown } {
  const { code = 0, stderr } = ended as { code?: unknown; stderr?: unknown }
  return { code, stderr }
}

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)]
}

function helpOf(command: Command): string {
  let text = ''
  command.configureOutput({ writeOut: (part) => (text += part) }).outputHelp()
  return text
}
