/** What a user of the sample app reads when something did not work: each of the broker's codes in words, and what to do about it. */

import { ApiException, ArgumentError, ConnectionError } from '../../sdk/src/sdk.ts'
import { clean, DESCRIPTION_MAX } from '../../src/http/page-text.ts'
import type { Notice } from './sample-visitors.ts'

/** What a failure means for the connection that the sample app remembers. */
export type Aftermath = 'keep' | 'mend' | 'forget'

export interface Trouble extends Notice {
  readonly aftermath: Aftermath
}

export function troubleOf(error: unknown, provider: string): Trouble {
  if (error instanceof ApiException) return refused(error, provider)
  if (error instanceof ConnectionError) {
    return bad('The broker does not answer', 'Nothing was changed. Is it running? Try again in a moment.')
  }
  // What the browser brought is read by the SDK, which refuses an address that is no callback.
  if (error instanceof ArgumentError) return bad('That address is not complete', 'Nothing was changed. Begin on this page.')
  throw error
}

/** The user came back without a connection. */
export function deniedBy(provider: string, error: string, description: string | undefined): Trouble {
  if (error === 'access_denied')
    return bad('Not connected', `You said no, so ${provider} shared nothing. You can connect at any time.`)
  return bad(
    `${provider} could not connect you`,
    `It said: “${clean(description ?? error, DESCRIPTION_MAX)}”. Try again; if that does not help, tell us.`,
  )
}

/** The user brought back a connection that this browser did not set out to make. */
export function strangeConnection(provider: string): Trouble {
  return bad(
    'This connection was not started here',
    `Somebody else may have sent you that link. Nothing was connected to you. If you want to connect ${provider}, begin on this page.`,
  )
}

function refused(error: ApiException, provider: string): Trouble {
  const again = 'Begin again with the button below.'
  switch (error.code) {
    case 'ACCESS_DENIED':
      return bad('Not connected', `You said no, so ${provider} shared nothing. You can connect at any time.`, 'forget')
    case 'INVALID_COMPLETION':
      return bad(
        'This connection was begun by somebody else',
        `It was not for you, so it was thrown away and nothing was connected. ${again}`,
      )
    case 'SESSION_PENDING':
      return bad('Not connected yet', `The consent at ${provider} is not finished. ${again}`, 'forget')
    case 'SESSION_EXPIRED':
      return bad('That took too long', `A connection has to be finished within a few minutes. ${again}`, 'forget')
    case 'RECONNECT_REQUIRED':
      return bad(`${provider} wants you to connect again`, `It no longer accepts this connection: ${reasonIn(error)}`, 'mend')
    case 'INVALID_SESSION':
      return bad('This connection is over', `It was ended, here or elsewhere. ${again}`, 'forget')
    case 'PROVIDER_UNAVAILABLE':
      return bad(`${provider} is out of reach`, `Your connection is kept. Try again in ${waitIn(error)}.`)
    case 'TOO_MANY_REQUESTS':
      return bad('Too many requests', `Try again in ${waitIn(error)}.`)
    case 'INVALID_CREDENTIALS':
    case 'invalid_client':
      return bad(
        'This app is not set up right',
        'The broker does not know its client id and secret. That is for us to mend, not for you.',
      )
    default:
      return bad('That did not work', `The broker said: ${reasonIn(error)}`)
  }
}

function bad(title: string, text: string, aftermath: Aftermath = 'keep'): Trouble {
  return { kind: 'bad', title, text, aftermath }
}

function reasonIn(error: ApiException): string {
  return clean(error.errors[0]?.message ?? error.message, DESCRIPTION_MAX)
}

function waitIn({ retryAfter }: ApiException): string {
  if (retryAfter === undefined || retryAfter < 1) return 'a moment'
  return retryAfter === 1 ? 'a second' : `${Math.ceil(retryAfter)} seconds`
}
