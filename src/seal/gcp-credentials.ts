/** Where Google's own tools find credentials: a file that the environment names, or the machine. */

import { createPrivateKey } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { SignJWT } from 'jose'
import type { NetAnswer } from '../core/ports.ts'
import { asked, fieldsOf, type KeyServiceParts, renewing, textIn, unavailable } from './key-service.ts'

const SCOPE = 'https://www.googleapis.com/auth/cloudkms'
const METADATA = '169.254.169.254'
const LIFE_S = 3600

export function gcpAccessToken(service: string, { net, environment, now }: KeyServiceParts): () => Promise<string> {
  const read = (answer: NetAnswer, source: string): { value: string; until: number } => {
    const fields = fieldsOf(answer)
    const [value, life] = [textIn(fields, 'access_token'), Number(fields['expires_in'])]
    if (answer.status !== 200 || value === null || !(life > 0))
      throw unavailable(service, `${source} gave no token (${textIn(fields, 'error') ?? answer.status})`)
    return { value, until: now() + life * 1000 }
  }
  const redeem = async (url: string, form: Readonly<Record<string, string>>, source: string) => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    return read(await asked(net, service, { method: 'POST', url, headers, body: new URLSearchParams(form).toString() }), source)
  }

  async function fromFile(path: string): Promise<{ value: string; until: number }> {
    const file = await contentsOf(service, path)
    const said = (name: string): string => {
      const value = textIn(file, name)
      if (value === null) throw unavailable(service, `${path} has no ${name}`)
      return value
    }
    const type = said('type')
    if (type === 'authorized_user') {
      const form = { client_id: said('client_id'), client_secret: said('client_secret'), refresh_token: said('refresh_token') }
      const url = textIn(file, 'token_uri') ?? 'https://oauth2.googleapis.com/token'
      return redeem(url, { ...form, grant_type: 'refresh_token' }, path)
    }
    if (type !== 'service_account') throw unavailable(service, `${path} is of type ${type}, which is not known here`)
    const url = said('token_uri')
    const at = Math.floor(now() / 1000)
    const assertion = await new SignJWT({ scope: SCOPE })
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: said('private_key_id') })
      .setIssuer(said('client_email'))
      .setAudience(url)
      .setIssuedAt(at)
      .setExpirationTime(at + LIFE_S)
      .sign(createPrivateKey(said('private_key')))
    return redeem(url, { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion }, path)
  }

  async function fromMachine(): Promise<{ value: string; until: number }> {
    const host = environment['GCE_METADATA_HOST']?.trim() || METADATA
    const url = `http://${host}/computeMetadata/v1/instance/service-accounts/default/token?scopes=${encodeURIComponent(SCOPE)}`
    return read(await asked(net, service, { method: 'GET', url, headers: { 'metadata-flavor': 'Google' } }), 'the machine')
  }

  const path = environment['GOOGLE_APPLICATION_CREDENTIALS']?.trim()
  return renewing(now, () => (path ? fromFile(path) : fromMachine()))
}

async function contentsOf(service: string, path: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>
  } catch (error) {
    // What cannot be parsed is quoted in its message, and there is a key in it.
    const why = error instanceof SyntaxError ? 'is no JSON' : 'cannot be read'
    throw unavailable(service, `${path} ${why}`)
  }
}
