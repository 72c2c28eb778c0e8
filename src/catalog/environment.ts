/** `${env:NAME}` in a value of latchstring.yaml: secrets are named there and live elsewhere. */

import type { Resolve } from './yaml.ts'

const REFERENCE = /\$\{(?:env:)?([^}]*)\}/g
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/
/** As shells and other tools write it: taken as it stands, it would be the secret itself. */
const BARE = /^\$([A-Z_][A-Z0-9_]*)$/

/** Replaced text is never looked at again, so a value may contain whatever it likes. What cannot be replaced stays as it is. */
export function fromEnvironment(env: Readonly<Record<string, string | undefined>>): Resolve {
  return (text, wrong) => {
    const bare = BARE.exec(text)?.[1]
    if (bare !== undefined) wrong(`is ${text}, which is not replaced: write \${env:${bare}}`)
    return text.replace(REFERENCE, (reference: string, name: string) => {
      const value = Object.hasOwn(env, name) ? env[name] : undefined
      if (!NAME.test(name)) wrong(`has ${reference}, which names no variable: write \${env:NAME}`)
      else if (!reference.startsWith('${env:')) wrong(`has ${reference}: write \${env:${name}}`)
      else if (value === undefined) wrong(`needs the environment variable ${name}, which is not set`)
      else if (value === '') wrong(`needs the environment variable ${name}, which is empty`)
      return value || reference
    })
  }
}
