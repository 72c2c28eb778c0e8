/** Reads what `latchstring import` is given: connections that were made elsewhere, a JSON object on each line. Every mistake is told with its line. */

import type { Static } from 'typebox'
import type { Imported } from '../core/import.ts'
import { Type } from '../core/json-schema.ts'
import { momentOf } from '../core/moment.ts'
import { Secret } from '../core/secret.ts'
import { CatalogError, type Mistake, mistakeAt, nearest, type Source } from './mistake.ts'
import { fields, scopes, text } from './schema.ts'
import { shapeThen, validator } from './validate.ts'

/** More than these in one file are one mistake in whatever wrote it. */
const MISTAKES_MAX = 20

/** As the HTTP API has it: what it would not take could not be asked for. */
const NAME = {
  // Neither U+0000 nor half of a surrogate pair, which no database holds.
  pattern: '^[^\\u0000\\uD800-\\uDFFF]{1,512}$',
  patternErrorMessage: 'must be 1 to 512 characters',
}
const SESSION = {
  pattern: '^[A-Za-z0-9_][A-Za-z0-9_.~-]{7,127}$',
  patternErrorMessage: 'must be 8 to 128 letters, digits and _ - . ~, and not begin with a -',
}
const LABEL = { pattern: '^[^\\u0000\\uD800-\\uDFFF]{1,200}$', patternErrorMessage: 'must be 1 to 200 characters' }

const optionalText = (...given: Parameters<typeof text>) => Type.Optional(text(...given))

const accountSchema = fields(
  {
    id: text('Its stable id, as `identity` of the provider’s file reads it.', NAME),
    label: optionalText('A name that a person knows it by.', NAME),
  },
  'The account at the provider.',
)

export const importSchema = fields(
  {
    key_code_ref: text('The app that it was made with: the tokens belong to its `client_id`.'),
    user_id: optionalText('Whose it is; this, `org_code`, or both.', NAME),
    org_code: optionalText('The organisation that it belongs to, or that the user belongs to.', NAME),
    refresh_token: optionalText('Left out where the provider gives none.'),
    access_token: optionalText('Left out, the first one is had with the refresh token when it is asked for.'),
    expires_at: optionalText(
      'When the access token ends (RFC 3339). Left out, it is renewed at its first use; without a refresh token it is one that does not end.',
    ),
    token_type: optionalText('Default: `Bearer`.'),
    scopes: Type.Optional(scopes('What was granted. Default: what the app asks for.')),
    account: Type.Optional(accountSchema),
    label: optionalText('A name of yours for it.', LABEL),
    session_id: optionalText('The id it shall have. Default: one that is made of its token.', SESSION),
    connected_at: optionalText('When the user consented (RFC 3339). Default: now.'),
    renewed_at: optionalText('When its refresh token was last used (RFC 3339). Default: now.'),
    kept: Type.Optional(
      Type.Record(Type.String(), Type.String(), {
        description: 'What else the provider told and its API needs, such as `instance_url`.',
      }),
    ),
  },
  'A connection that was made elsewhere.',
)

type Line = Static<typeof importSchema>

const validate = validator(importSchema)

/** What each line says, once it was checked. Throws one `CatalogError` that names the mistakes, after the last line or when there are too many. */
export async function* readImport(
  lines: AsyncIterable<string> | Iterable<string>,
  name: string,
  apps: ReadonlySet<string>,
): AsyncGenerator<Imported> {
  const mistakes: Mistake[] = []
  /** By a digest of what no other line may have, where it stood first. */
  const firstLines = new Map<string, number>()
  let number = 0
  for await (const line of lines) {
    number += 1
    // That takes a byte order mark off, too.
    const object = line.trim()
    if (object === '') continue
    const source = lineOf(name, number)
    const found = read(object, number, source, apps)
    if ('mistakes' in found) mistakes.push(...found.mistakes)
    else mistakes.push(...repeated(found.imported, source, firstLines))
    if ('imported' in found && mistakes.length === 0) yield found.imported
    if (mistakes.length >= MISTAKES_MAX) break
  }
  if (mistakes.length > 0) throw new CatalogError(mistakes.slice(0, MISTAKES_MAX))
}

function lineOf(name: string, line: number): Source {
  const place = { line, column: 1 }
  return { name, valueAt: () => place, keyAt: () => place }
}

function read(
  line: string,
  number: number,
  source: Source,
  apps: ReadonlySet<string>,
): { readonly imported: Imported } | { readonly mistakes: readonly Mistake[] } {
  let value: unknown
  try {
    // null is what a database has where there is nothing.
    value = JSON.parse(line, (_, inner: unknown) => (inner === null ? undefined : inner))
  } catch {
    // What the parser says of it quotes the line, and the line holds tokens.
    return { mistakes: [mistakeAt(source, [], 'is no JSON: each line is one object, as `jq -c` writes them')] }
  }
  if (Array.isArray(value))
    return { mistakes: [mistakeAt(source, [], 'is a list: each line is one object, `jq -c ".[]"` makes them of it')] }
  const mistakes = shapeThen<Line>(validate, value, source, [], (sound) => rules(sound, source, apps))
  return mistakes.length > 0 ? { mistakes } : { imported: importedOf(value as Line, number) }
}

function rules(line: Partial<Line>, source: Source, apps: ReadonlySet<string>): Mistake[] {
  const mistakes: Mistake[] = []
  const wrong = (field: keyof Line, message: string): void => void mistakes.push(mistakeAt(source, [field], message))
  const { key_code_ref: app } = line
  if (app !== undefined && !apps.has(app)) {
    const meant = nearest(app, [...apps])
    wrong('key_code_ref', `there is no app ${app}${meant ? `; did you mean ${meant}?` : ': apply a file with it first'}`)
  }
  if (!line.user_id && !line.org_code) wrong('user_id', 'is missing: say whose it is, user_id, org_code, or both')
  if (!line.access_token && !line.refresh_token) wrong('refresh_token', 'is missing: there is nothing to import without a token')
  if (line.expires_at && !line.access_token) wrong('expires_at', 'is of an access_token, and there is none')
  for (const field of ['expires_at', 'connected_at', 'renewed_at'] as const) {
    const moment = line[field]
    if (moment && momentOf(moment) === null) wrong(field, 'must be a moment (RFC 3339), such as 2026-11-26T12:00:00Z')
  }
  for (const field of ['connected_at', 'renewed_at'] as const) {
    const at = momentOf(line[field] ?? '')
    if (at !== null && at > Date.now()) wrong(field, 'must not be in the future')
  }
  return mistakes
}

const ONLY_ONE = {
  refresh_token: 'only one connection may spend it',
  session_id: 'it is the id of one connection',
} as const satisfies Partial<Record<keyof Line, string>>

/**
 * Two connections would both spend a token, and end the grant with that; of two with one id the second would be left out.
 * Digests of 96 bits: a million of them are some 80 MB.
 */
function repeated({ refreshToken, session, line }: Imported, source: Source, firstLines: Map<string, number>): Mistake[] {
  const mistakes: Mistake[] = []
  for (const [field, value] of Object.entries({ refresh_token: refreshToken, session_id: session })) {
    if (value === null) continue
    const digest = Secret.ofJson([field, value]).digest().slice(0, 16)
    const first = firstLines.get(digest)
    firstLines.set(digest, first ?? line)
    if (first === undefined) continue
    const why = ONLY_ONE[field as keyof typeof ONLY_ONE]
    mistakes.push(mistakeAt(source, [field], `is that of line ${first}, too: ${why}`))
  }
  return mistakes
}

function importedOf(line: Line, number: number): Imported {
  const { account } = line
  return {
    line: number,
    session: line.session_id ?? null,
    app: line.key_code_ref,
    owner: { userId: line.user_id ?? null, orgCode: line.org_code ?? null },
    accessToken: line.access_token ? new Secret(line.access_token) : null,
    refreshToken: line.refresh_token ? new Secret(line.refresh_token) : null,
    expiresAt: momentOf(line.expires_at ?? ''),
    tokenType: line.token_type ?? 'Bearer',
    grantedScopes: line.scopes ?? null,
    account: account ? { id: account.id, label: account.label ?? null } : null,
    label: line.label ?? null,
    connectedAt: momentOf(line.connected_at ?? ''),
    renewedAt: momentOf(line.renewed_at ?? ''),
    kept: line.kept ?? {},
  }
}
