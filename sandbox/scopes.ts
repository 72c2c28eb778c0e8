/** Scopes as lists: providers disagree about how to join them. */

import type { Realm } from './realm.ts'

export function scopesIn(realm: Pick<Realm, 'switches'>, text: string | null): string[] {
  return [...new Set((text ?? '').split(realm.switches.scope_separator).filter(Boolean))]
}
