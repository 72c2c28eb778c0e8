/** What every database can hold and every driver gives back. */

/**
 * PostgreSQL refuses U+0000 in text, and node:sqlite of Node 22 reads only up to it: a name cut off there would pass for another one.
 * It becomes U+FFFD, as half surrogate pairs do. Not an error: what a provider granted must be stored whatever it calls the account.
 */
export function storable<T extends object>(row: T): T {
  const entries = Object.entries(row).map(([column, value]) => [column, typeof value === 'string' ? storableText(value) : value])
  return Object.fromEntries(entries) as T
}

export function storableText(text: string): string {
  return text.replaceAll('\u0000', '\ufffd')
}

/** The texts in it, too: PostgreSQL reads no JSON with such a character, however it is written. */
export function storableJson(value: object): string {
  return JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'string' ? storableText(inner).toWellFormed() : inner))
}
