/** The command line: runs the command it is given, and ends with a sentence and an exit code. */

import { CommanderError } from 'commander'
import { FAILED, failureOf, WRONG_USAGE } from './failure.ts'
import { createProgram } from './program.ts'
import { outliveStandardError, remark } from './terminal.ts'

// `latchstring … | head` has seen enough.
process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => {
  if (code !== 'EPIPE') remark(`latchstring: what was asked for cannot be written to standard output (${code})`)
  process.exit(code === 'EPIPE' ? 0 : FAILED)
})
outliveStandardError()

try {
  await createProgram().parseAsync()
} catch (error) {
  process.exitCode = ended(error)
}

function ended(error: unknown): number {
  // It has said already what is wrong, or shown the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : WRONG_USAGE
  const { sentence, exitCode } = failureOf(error)
  remark(`latchstring: ${sentence}`)
  return exitCode
}
