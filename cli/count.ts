/** How many, as it is typed. */

import { InvalidArgumentError } from 'commander'

export function countOf(text: string): number {
  const count = Number(text)
  if (!/^\d+$/.test(text) || count < 1) throw new InvalidArgumentError('It must be a whole number from 1.')
  return count
}
