/** What the operator should know about the Node that runs this. */

/** The first release of each line that mended CVE-2026-111497; lines that are not here came after it, or are no longer mended. */
const MENDED: Readonly<Record<number, readonly [minor: number, patch: number]>> = { 22: [23, 4], 24: [22, 1], 26: [12, 1] }
const MENDED_LINES_FROM = 27

/** null: there is nothing to say. */
export function decoderAdvice(version: string): string | null {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number)
  const mended = MENDED[major]
  if (mended ? minor > mended[0] || (minor === mended[0] && patch >= mended[1]) : major >= MENDED_LINES_FROM) return null
  return 'this Node has a hole in its Brotli decoder (CVE-2026-111497); Latchstring never decodes Brotli, so this is advice: update to 22.23.4, 24.22.1, 26.12.1 or later'
}
