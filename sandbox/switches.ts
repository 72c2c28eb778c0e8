/** The standing behaviour of a sandbox: how it rotates, what it insists on, which lies it tells. */

/** Named the same in process and in the JSON of `/control`, so that a test can move between the two. */
export interface Switches {
  /** `always`: every renewal spends the refresh token and hands out its successor. */
  readonly rotation: 'always' | 'never'
  /** Whether presenting a spent refresh token (outside the replay window) revokes the whole family. */
  readonly reuse_detection: boolean
  /** How long a spent refresh token still gets the same successor: a number of seconds, or until the successor is used. */
  readonly replay_window: 'none' | 'until_next_use' | number
  /** Renewals answer without a refresh token, and the old one stays good. */
  readonly omit_refresh_token: boolean
  /** `offline`: only for `scope=offline_access` or `access_type=offline`. */
  readonly refresh_tokens: 'always' | 'offline' | 'never'
  /** Seconds. */
  readonly access_token_lifetime: number
  /** Seconds since the user consented. */
  readonly refresh_token_lifetime: 'forever' | number
  /** Seconds. */
  readonly code_lifetime: number
  /** Added to every token, to see whether odd bytes survive the round trip. */
  readonly token_suffix: string
  /** How the token endpoint wants its parameters. */
  readonly token_body: 'form' | 'json' | 'query'
  /** How scopes are joined, on the way in and out. */
  readonly scope_separator: ' ' | ','
  /** `refused`: like the many providers that PKCE breaks. */
  readonly pkce: 'optional' | 'required' | 'refused'
  /** `missing`: metadata promises it, the answer lacks it. `unadvertised`: the other way round. */
  readonly iss: 'off' | 'on' | 'wrong' | 'missing' | 'unadvertised'
  readonly id_token:
    | 'right'
    | 'wrong_nonce'
    | 'wrong_audience'
    | 'wrong_issuer'
    | 'wrong_key'
    | 'expired'
    | 'unsigned'
    | 'missing'
  /** `true`: the signed-in or first account allows everything at once. A string: that account does. */
  readonly auto_approve: boolean | string
  readonly require_par: boolean
}

export const DEFAULTS: Switches = Object.freeze({
  rotation: 'always',
  reuse_detection: true,
  replay_window: 'none',
  omit_refresh_token: false,
  refresh_tokens: 'always',
  access_token_lifetime: 3600,
  refresh_token_lifetime: 'forever',
  code_lifetime: 60,
  token_suffix: '',
  token_body: 'form',
  scope_separator: ' ',
  pkce: 'optional',
  iss: 'off',
  id_token: 'right',
  auto_approve: false,
  require_par: false,
})

interface Rule {
  readonly says: string
  readonly allows: (value: unknown) => boolean
}

const oneOf = (...words: string[]): Rule => ({
  says: words.map((w) => `'${w}'`).join(' | '),
  allows: (v) => words.includes(v as string),
})
const yesOrNo: Rule = { says: 'true | false', allows: (v) => typeof v === 'boolean' }
const seconds: Rule = { says: 'a number of seconds', allows: (v) => typeof v === 'number' && Number.isFinite(v) }
const text: Rule = { says: 'a string', allows: (v) => typeof v === 'string' }
const either = (a: Rule, b: Rule): Rule => ({ says: `${a.says} | ${b.says}`, allows: (v) => a.allows(v) || b.allows(v) })

/** What each switch accepts; a new switch does not compile until it has a rule. */
export const RULES: Readonly<Record<keyof Switches, Rule>> = {
  rotation: oneOf('always', 'never'),
  reuse_detection: yesOrNo,
  replay_window: either(oneOf('none', 'until_next_use'), seconds),
  omit_refresh_token: yesOrNo,
  refresh_tokens: oneOf('always', 'offline', 'never'),
  access_token_lifetime: seconds,
  refresh_token_lifetime: either(oneOf('forever'), seconds),
  code_lifetime: seconds,
  token_suffix: text,
  token_body: oneOf('form', 'json', 'query'),
  scope_separator: oneOf(' ', ','),
  pkce: oneOf('optional', 'required', 'refused'),
  iss: oneOf('off', 'on', 'wrong', 'missing', 'unadvertised'),
  id_token: oneOf('right', 'wrong_nonce', 'wrong_audience', 'wrong_issuer', 'wrong_key', 'expired', 'unsigned', 'missing'),
  auto_approve: either(yesOrNo, text),
  require_par: yesOrNo,
}

export const isSwitch = (name: string): name is keyof Switches => Object.hasOwn(RULES, name)

/** The switches after `changes`, or an error that says what would have been right. Nothing is half applied. */
export function turned(current: Switches, changes: Readonly<Record<string, unknown>>): Switches {
  for (const [name, value] of Object.entries(changes)) {
    if (!isSwitch(name)) throw new RangeError(`there is no switch '${name}'; there are: ${Object.keys(RULES).join(', ')}`)
    if (!RULES[name].allows(value)) throw new RangeError(`${name} must be ${RULES[name].says}, not ${JSON.stringify(value)}`)
  }
  return Object.freeze({ ...current, ...changes })
}
