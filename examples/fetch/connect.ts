/** A whole connection with nothing but fetch, for whoever writes in a language without our client: a script, to read and to run. */

const {
  LATCHSTRING_URL = 'http://localhost:4400',
  CLIENT_ID = 'backend',
  CLIENT_SECRET = '',
  KEY_CODE_REF = 'script', // the app, as the broker knows it
  PROVIDER_API = 'http://127.0.0.1:4999/api/me', // something at the provider that takes its tokens
} = process.env

// Who asks: a token of the broker's own. It lasts a while; a program that runs for longer asks again when it ends.
const { access_token: bearer } = await json<{ access_token: string }>(
  await fetch(`${LATCHSTRING_URL}/oauth2/token`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'client_credentials', client_id: CLIENT_ID, client_secret: CLIENT_SECRET }),
  }),
)

// 1. An address for the user's browser, and the id that names the connection from now on.
const { url, session_id } = await call<{ url: string; session_id: string }>('GET', 'auth_url', {
  key_code_ref: KEY_CODE_REF,
  user_id: 'ada',
})
console.log(`Open this in a browser, within ten minutes:\n${url}`)

// 2. The provider's own access token, as often as you need it: it is renewed where it must be.
const { access_token } = await whenConnected()
const answer = await fetch(PROVIDER_API, { headers: { authorization: `Bearer ${access_token}` } })
console.log(`The provider answered ${answer.status}: ${await answer.text()}`)

// 3. When it is over, here and at the provider.
await call('POST', 'revoke', { session_id })
console.log('Disconnected.')

/** All three take what they need in the query. */
async function call<Answer>(method: string, operation: string, query: Record<string, string>): Promise<Answer> {
  const address = `${LATCHSTRING_URL}/api/v1/connected_apps/${operation}?${new URLSearchParams(query).toString()}`
  return json(await fetch(address, { method, headers: { authorization: `Bearer ${bearer}` } }))
}

/** A web app has a callback that tells it; a script can only ask until it is so. */
async function whenConnected(): Promise<{ access_token: string }> {
  for (;;) {
    try {
      return await call('GET', 'token', { session_id })
    } catch (error) {
      if (!(error instanceof Error && error.cause === 'SESSION_PENDING')) throw error
      await new Promise((resolve) => setTimeout(resolve, 1000))
    }
  }
}

async function json<Answer>(response: Response): Promise<Answer> {
  const body = await response.json()
  if (response.ok) return body as Answer
  const { errors: [first] = [], error, error_description } = body as Failure
  throw new Error(first?.message ?? error_description ?? `status ${response.status}`, { cause: first?.code ?? error })
}

/** The first form is the API's, the second that of /oauth2/token. */
interface Failure {
  readonly errors?: readonly { readonly code: string; readonly message: string }[]
  readonly error?: string
  readonly error_description?: string
}
