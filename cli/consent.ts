/** Asks before what cannot be taken back. */

import { createInterface } from 'node:readline/promises'
import { UsageError } from './failure.ts'
import { remark } from './terminal.ts'

/** `yes` answers beforehand. Throws `UsageError` where nobody is there to answer. */
export async function confirmed(what: string, { yes = false }: { readonly yes?: boolean }): Promise<boolean> {
  if (yes) return true
  if (!process.stdin.isTTY) throw new UsageError(`${what} cannot be taken back: say --yes`)
  const asking = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await asking.question(`${what} cannot be taken back. Go on? [y/N] `)
    const agreed = /^y(es)?$/i.test(answer.trim())
    if (!agreed) remark('Nothing was changed.')
    return agreed
  } finally {
    asking.close()
  }
}
