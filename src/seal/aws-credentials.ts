/** Where AWS's own tools find credentials, in their order: the environment, a web identity, the container, the machine. */

import { readFile } from 'node:fs/promises'
import { asked, fieldsOf, type KeyServiceParts, renewing, textIn, unavailable } from './key-service.ts'

export interface AwsCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

interface Got {
  readonly value: AwsCredentials
  readonly until: number
}

/** Link-local addresses that hand out the credentials of a container or machine. */
export const AWS_METADATA = ['169.254.169.254', '169.254.170.2', '169.254.170.23'] as const
const CONTAINER = 'http://169.254.170.2'
const MACHINE = 'http://169.254.169.254'

export function awsCredentials(
  service: string,
  { region, suffix }: { region: string; suffix: string },
  { net, environment, now }: KeyServiceParts,
): () => Promise<AwsCredentials> {
  const said = (name: string): string | null => environment[name]?.trim() || null
  const [accessKeyId, secretAccessKey] = [said('AWS_ACCESS_KEY_ID'), said('AWS_SECRET_ACCESS_KEY')]
  if (accessKeyId !== null && secretAccessKey !== null) {
    const sessionToken = said('AWS_SESSION_TOKEN')
    const given = { accessKeyId, secretAccessKey, ...(sessionToken !== null && { sessionToken }) }
    return () => Promise.resolve(given)
  }

  /** Three sources answer in the same form, but for the name of the token. */
  const read = (fields: Readonly<Record<string, unknown>>, source: string): Got => {
    const [id, secret] = [textIn(fields, 'AccessKeyId'), textIn(fields, 'SecretAccessKey')]
    const sessionToken = textIn(fields, 'SessionToken') ?? textIn(fields, 'Token')
    const end = fields['Expiration']
    // Seconds where it is a number, RFC 3339 where it is a text.
    const until = typeof end === 'number' ? end * 1000 : Date.parse(String(end))
    if (id === null || secret === null || Number.isNaN(until)) throw unavailable(service, `no credentials from ${source}`)
    return { value: { accessKeyId: id, secretAccessKey: secret, ...(sessionToken !== null && { sessionToken }) }, until }
  }
  const get = async (url: string, source: string, headers: Record<string, string>, method: 'GET' | 'PUT' = 'GET') => {
    const answer = await asked(net, service, { method, url, headers })
    if (answer.status !== 200) throw unavailable(service, `${source} answered ${answer.status}`)
    return answer
  }

  async function webIdentity(file: string, role: string): Promise<Got> {
    const form = new URLSearchParams({
      ...{ Action: 'AssumeRoleWithWebIdentity', Version: '2011-06-15', RoleArn: role },
      ...{ RoleSessionName: said('AWS_ROLE_SESSION_NAME') ?? 'latchstring', WebIdentityToken: await fileOf(service, file) },
    })
    const url = said('AWS_ENDPOINT_URL_STS') ?? said('AWS_ENDPOINT_URL') ?? `https://sts.${region}.${suffix}/`
    const headers = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' }
    const answer = await asked(net, service, { method: 'POST', url, headers, body: form.toString() })
    if (answer.status !== 200) throw unavailable(service, `the web identity was answered ${answer.status}`)
    const within = (fields: Readonly<Record<string, unknown>>, name: string) => (fields[name] ?? {}) as Record<string, unknown>
    const result = within(within(fieldsOf(answer), 'AssumeRoleWithWebIdentityResponse'), 'AssumeRoleWithWebIdentityResult')
    return read(within(result, 'Credentials'), 'the web identity')
  }

  async function container(url: string): Promise<Got> {
    const file = said('AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE')
    const token = file ? await fileOf(service, file) : said('AWS_CONTAINER_AUTHORIZATION_TOKEN')
    const answer = await get(url, 'the container', token === null ? {} : { authorization: token })
    return read(fieldsOf(answer), 'the container')
  }

  async function machine(): Promise<Got> {
    if (said('AWS_EC2_METADATA_DISABLED') === 'true') throw unavailable(service, 'there are no AWS credentials')
    const base = said('AWS_EC2_METADATA_SERVICE_ENDPOINT')?.replace(/\/+$/, '') ?? MACHINE
    const life = { 'x-aws-ec2-metadata-token-ttl-seconds': '300' }
    const session = Buffer.from((await get(`${base}/latest/api/token`, 'the machine', life, 'PUT')).body).toString()
    const headers = { 'x-aws-ec2-metadata-token': session }
    const roles = `${base}/latest/meta-data/iam/security-credentials/`
    const [role = ''] = Buffer.from((await get(roles, 'the machine', headers)).body)
      .toString()
      .split('\n')
    return read(fieldsOf(await get(`${roles}${role.trim()}`, 'the machine', headers)), 'the machine')
  }

  return renewing(now, () => {
    const [file, role] = [said('AWS_WEB_IDENTITY_TOKEN_FILE'), said('AWS_ROLE_ARN')]
    if (file !== null && role !== null) return webIdentity(file, role)
    const relative = said('AWS_CONTAINER_CREDENTIALS_RELATIVE_URI')
    const full = relative === null ? said('AWS_CONTAINER_CREDENTIALS_FULL_URI') : `${CONTAINER}${relative}`
    return full === null ? machine() : container(full)
  })
}

/** Read each time: whoever put it there replaces it. */
async function fileOf(service: string, path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim()
  } catch (error) {
    throw unavailable(service, `${path} cannot be read`, error)
  }
}
