/**
 * Where a connection lies in the SQLite file: by a number made of its id, which is the table's own key. The token path finds it there without
 * an index, and rows that are walked over in the order of their ids lie in that order.
 */

/** What ids are made of, in the order of their codes. */
const DIGITS = '-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz'
/** Of 64 each, 48 bits: a number of JavaScript holds them. */
const LENGTH = 8

const VALUES = new Uint8Array(128)
for (let value = 0; value < DIGITS.length; value++) VALUES[DIGITS.charCodeAt(value)] = value

/** Any text has one, and two may have the same: then the second lies elsewhere. */
export function placeOf(id: string): number {
  let place = 0
  // What is past the end, or is no digit, counts as the first.
  for (let i = 0; i < LENGTH; i++) place = place * DIGITS.length + (VALUES[id.charCodeAt(i)] ?? 0)
  return place
}
