/** What went wrong, as a sentence and an exit code: 1 it failed, 2 it was asked or set up wrongly. */

import { CatalogError } from '../src/catalog/mistake.ts'
import { ConfigError } from '../src/config.ts'
import { BrokerError } from '../src/core/errors.ts'

export const FAILED = 1
export const WRONG_USAGE = 2

/** Asked for something that cannot be asked. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export interface Failure {
  readonly sentence: string
  readonly exitCode: typeof FAILED | typeof WRONG_USAGE
}

/** Never a stack: what was thrown on purpose was written to be read, and the rest is told by its message. */
export function failureOf(thrown: unknown): Failure {
  if (thrown instanceof ConfigError) return { sentence: `cannot start:\n${indented(thrown.mistakes)}`, exitCode: WRONG_USAGE }
  if (thrown instanceof CatalogError)
    return { sentence: `${counted(thrown)}:\n${indented(thrown.message.split('\n'))}`, exitCode: WRONG_USAGE }
  if (thrown instanceof UsageError) return { sentence: thrown.message, exitCode: WRONG_USAGE }
  if (thrown instanceof BrokerError)
    return { sentence: withCause(thrown), exitCode: thrown.code === 'INVALID_REQUEST' ? WRONG_USAGE : FAILED }
  return { sentence: listening(thrown) ?? (thrown instanceof Error ? thrown.message : String(thrown)), exitCode: FAILED }
}

/** Callers are not told why a database fails; whoever runs commands is who can mend it. */
function withCause({ code, message, cause }: BrokerError): string {
  if (code !== 'STORE_UNAVAILABLE' || !(cause instanceof Error)) return message
  // Several addresses that cannot be reached have a code and no words.
  return `${message}: ${cause.message || String((cause as NodeJS.ErrnoException).code)}`
}

/** Why there is no listening on an address, if that is what failed. */
function listening(thrown: unknown): string | null {
  if (!(thrown instanceof Error)) return null
  const { code, syscall, address, port } = thrown as NodeJS.ErrnoException & { address?: unknown; port?: unknown }
  if (syscall !== 'listen' && syscall !== 'getaddrinfo') return null
  switch (code) {
    case 'EADDRINUSE':
      return `port ${String(port)} is taken: stop what listens there, or choose another with --port (0 takes a free one)`
    case 'EACCES':
      return `this user may not listen on port ${String(port)}: choose one above 1023 with --port`
    case 'EADDRNOTAVAIL':
      return `${String(address)} is no address of this machine: choose another with --host`
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'the host to listen on is not known: choose another with --host'
    default:
      return null
  }
}

function indented(lines: readonly string[]): string {
  return lines.map((line) => `  ${line}`).join('\n')
}

function counted({ mistakes }: CatalogError): string {
  return mistakes.length === 1 ? 'there is a mistake' : `there are ${mistakes.length} mistakes`
}
