/** What `--help` says beyond the options: examples, and the environment. */

import type { Command } from 'commander'
import { VARIABLES } from '../src/config.ts'

/** Each with what it is for. */
export function withExamples(command: Command, examples: Readonly<Record<string, string>>): Command {
  const width = Math.max(...Object.keys(examples).map(({ length }) => length))
  const lines = Object.entries(examples).map(([example, what]) => `  ${example.padEnd(width)}  ${what}`.trimEnd())
  return command.addHelpText('after', `\nExamples:\n${lines.join('\n')}`)
}

export function withVariables(command: Command): Command {
  const rows = VARIABLES.map(({ name, fallback, meaning }) => ({
    name,
    meaning: `${meaning}${fallback === 'none' ? '' : ` (${fallback})`}`,
  }))
  const width = Math.max(...rows.map(({ name }) => name.length))
  const lines = rows.map(({ name, meaning }) => `  ${name.padEnd(width)}  ${meaning}`)
  return command.addHelpText('after', `\nEnvironment:\n${lines.join('\n')}`)
}
