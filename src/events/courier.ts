/** Takes a message to a webhook: signed as Standard Webhooks wants it, under every secret that is in force, through the one way out. */

import { createHmac } from 'node:crypto'
import { BrokerError } from '../core/errors.ts'
import { type Courier, type Net, NetError, type Ports } from '../core/ports.ts'
import type { Secret } from '../core/secret.ts'
import { type Webhook, webhookRow } from '../core/webhook.ts'

const PREFIX = 'whsec_'

export function createCourier({ net, seal, now }: { readonly net: Net } & Pick<Ports, 'seal' | 'now'>): Courier {
  return {
    async send(webhook, message) {
      try {
        const at = now()
        const timestamp = String(Math.floor(at / 1000))
        const body = JSON.stringify(message)
        const signed = `${message.id}.${timestamp}.${body}`
        const secrets = await secretsOf(seal, webhook, at)
        const { status, headers } = await net.request({
          method: 'POST',
          url: webhook.url,
          headers: {
            'content-type': 'application/json',
            'webhook-id': message.id,
            'webhook-timestamp': timestamp,
            'webhook-signature': secrets.map((secret) => signature(secret, signed)).join(' '),
          },
          body,
          allowPrivateNetwork: webhook.allowPrivateNetwork,
          ignoreBody: true,
        })
        if (status >= 200 && status < 300) return { outcome: 'delivered' }
        return { outcome: 'failed', reason: `http_${status}`, retryAfterMs: secondsOf(headers['retry-after']) }
      } catch (error) {
        return { outcome: 'failed', reason: reasonOf(error), retryAfterMs: null }
      }
    },
  }
}

async function secretsOf(seal: Ports['seal'], webhook: Webhook, now: number): Promise<Secret[]> {
  const { dataKey, secret, previous } = webhook.sealed
  const row = await seal.load(webhookRow(webhook), dataKey)
  const newest = row.open('secret', secret)
  return previous && previous.until > now ? [newest, row.open('previous_secret', previous.secret)] : [newest]
}

function signature(secret: Secret, signed: string): string {
  const key = Buffer.from(secret.reveal().slice(PREFIX.length), 'base64')
  return `v1,${createHmac('sha256', key).update(signed).digest('base64')}`
}

/** Receivers that want more time say so in seconds; a date is as good as nothing. */
function secondsOf(retryAfter: string | undefined): number | null {
  return retryAfter !== undefined && /^\d{1,6}$/.test(retryAfter) ? Number(retryAfter) * 1000 : null
}

function reasonOf(error: unknown): string {
  if (error instanceof NetError) return error.reason
  return error instanceof BrokerError ? error.code.toLowerCase() : 'internal'
}
