/** Days and moments as people write them: the same moment on every machine, whatever its time zone. */

const MOMENT = /^\d{4}-\d{2}-\d{2}T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$/

/** Milliseconds since the epoch; a day begins at midnight UTC. null: it is neither a day nor a moment. */
export function momentOf(text: string): number | null {
  if (!isDay(text.slice(0, 10))) return null
  return text.length === 10 || MOMENT.test(text) ? Date.parse(text) : null
}

export function isDay(text: string): boolean {
  const at = Date.parse(`${text}T00:00:00Z`)
  return Number.isFinite(at) && new Date(at).toISOString().startsWith(text)
}
