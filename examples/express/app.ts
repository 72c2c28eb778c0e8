/** An Express app whose users connect an account of theirs, use it and disconnect it: all that an app needs of the broker. */

import { randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { ApiException, ArgumentError, ConnectedAppsApi, readCallback } from '@latchstring/sdk'
import express, { type NextFunction, type Request, type Response } from 'express'

const {
  LATCHSTRING_URL = 'http://localhost:4400',
  CLIENT_ID = 'backend',
  CLIENT_SECRET = '',
  KEY_CODE_REF = 'notes', // the app, as the broker knows it
  PROVIDER_API = 'http://127.0.0.1:4999/api/me', // something at the provider that takes its tokens
  PORT = '3000',
} = process.env

const api = new ConnectedAppsApi({ host: LATCHSTRING_URL, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET })

// These two stand in for what your app has already: its logins, and its database.
const logins = new Map<string, string>() // cookie -> user
const connections = new Map<string, string>() // user -> session_id

const app = express()

app.get('/', (request, response) => {
  const user = userOf(request)
  if (user === undefined) return send(response, 200, 'Who are you?', LOGIN)
  if (!connections.has(user)) return send(response, 200, `${user}: not connected`, button('/connect', 'Connect'))
  send(response, 200, `${user}: connected`, `<p><a href="/account">Use it</a></p>${button('/disconnect', 'Disconnect')}`)
})

// Off to the broker, and from there to the provider.
app.post('/connect', loggedIn, async (_request, response) => {
  const { user } = response.locals
  const { body } = await api.getConnectedAppAuthUrl({
    key_code_ref: KEY_CODE_REF,
    user_id: user,
    session_id: connections.get(user), // connecting again keeps the id
  })
  response.redirect(303, body.url)
})

// The browser is back. Nothing is connected before you say who is logged in in it.
app.get('/callback', loggedIn, async ({ url }, response) => {
  const { user } = response.locals
  const { session_id, completion_code } = readCallback(url)
  if (completion_code === undefined) return send(response, 400, 'Not connected. You can try again at any time.', BACK)
  // From your own login, never from the address: for anybody but the user who began, the broker throws the connection away.
  await api.complete({ session_id, completion_code, user_id: user })
  connections.set(user, session_id)
  response.redirect(303, '/')
})

// Ask for the token whenever you need it, and keep it nowhere: the broker renews it in time.
app.get('/account', loggedIn, async (_request, response) => {
  const session_id = connections.get(response.locals['user'])
  if (session_id === undefined) return response.redirect(303, '/')
  const { body: token } = await api.getConnectedAppToken({ session_id })
  const answer = await fetch(PROVIDER_API, { headers: { authorization: `Bearer ${token.access_token}` } })
  send(response, 200, `The provider answered ${answer.status}: ${await answer.text()}`, BACK)
})

app.post('/disconnect', loggedIn, async (_request, response) => {
  const session_id = connections.get(response.locals['user'])
  if (session_id !== undefined) await api.revokeConnectedAppToken({ session_id })
  connections.delete(response.locals['user'])
  response.redirect(303, '/')
})

app.post('/login', express.urlencoded({ extended: false }), (request, response) => {
  const login = randomUUID()
  logins.set(login, String(request.body.user))
  // Lax keeps other sites from pressing our buttons. A Strict cookie would not come back with the user from the provider.
  response.cookie('login', login, { httpOnly: true, sameSite: 'lax', secure: request.secure })
  response.redirect(303, '/')
})

app.use((error: unknown, _request: Request, response: Response, next: NextFunction) => {
  if (error instanceof ArgumentError) return send(response, 400, 'That address is not whole.', BACK) // of a callback that nobody was sent to
  if (!(error instanceof ApiException)) return next(error)
  switch (error.code) {
    case 'INVALID_COMPLETION':
      return send(response, 403, 'Somebody else began this connection, so nothing was connected.', BACK)
    case 'NOT_FOUND': // nothing waits to be completed: the browser came to the callback a second time, say
      return response.redirect(303, '/')
    case 'SESSION_EXPIRED':
    case 'CONNECT_FAILED':
    case 'ACCOUNT_MISMATCH':
      return send(response, 409, `Not connected. ${error.errors[0]?.message}`, BACK)
    case 'INVALID_SESSION':
      connections.delete(response.locals['user'])
      return send(response, 409, 'The connection was ended elsewhere.', button('/connect', 'Connect again'))
    case 'RECONNECT_REQUIRED':
      return send(response, 409, 'The provider wants you to connect again.', button('/connect', 'Connect again'))
    case 'PROVIDER_UNAVAILABLE':
      return send(response, 503, `The provider does not answer. Try again in ${error.retryAfter ?? 30} seconds.`, BACK)
    default:
      return next(error)
  }
})

const server = app.listen(Number(PORT), '127.0.0.1', () =>
  console.log(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`),
)

const LOGIN = '<form method="post" action="/login"><input name="user" aria-label="Name" required> <button>Log in</button></form>'
const BACK = '<p><a href="/">Back</a></p>'

function userOf(request: Request): string | undefined {
  return logins.get(/(?:^|; )login=([\w-]+)/.exec(request.headers.cookie ?? '')?.[1] ?? '')
}

function loggedIn(request: Request, response: Response, next: NextFunction): void {
  response.locals['user'] = userOf(request)
  if (response.locals['user'] === undefined) send(response, 401, 'Log in first.', LOGIN)
  else next()
}

function button(action: string, label: string): string {
  return `<form method="post" action="${action}"><button>${label}</button></form>`
}

function send(response: Response, status: number, text: string, html: string): void {
  const safe = text.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`)
  response.status(status).send(`<!doctype html><html lang="en"><title>Notes</title><p>${safe}</p>${html}</html>`)
}
