/** Asks before what cannot be taken back. */

import { createInterface } from 'node:readline/promises'
import { UsageError } from './failure.ts'
import { remark } from './terminal.ts'

export interface ConfirmOptions {
  /** Answered beforehand. */
  readonly yes?: boolean
}

/** Throws `UsageError` where nobody is there to answer. */
export async function confirmed(what: string, { yes = false }: ConfirmOptions): Promise<boolean> {
  if (yes) return true
  if (!process.stdin.isTTY) throw new UsageError(`${what} cannot be taken back: say --yes`)
  const agreed = /^y(es)?$/i.test(await answerTo(`${what} cannot be taken back. Go on? [y/N] `))
  if (!agreed) remark('Nothing was changed.')
  return agreed
}

/** Ctrl+C and Ctrl+D are answers too: neither is yes. */
async function answerTo(question: string): Promise<string> {
  const asking = createInterface({ input: process.stdin, output: process.stderr })
  const gone = new AbortController()
  const leave = (): void => gone.abort()
  asking.once('SIGINT', leave).once('close', leave)
  try {
    return (await asking.question(question, { signal: gone.signal })).trim()
  } catch (error) {
    if (!gone.signal.aborted) throw error
    remark('')
    return ''
  } finally {
    asking.close()
  }
}
