/** The colours can be told apart by people who see little of them. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { STYLE } from './page-style.ts'

test('every text has a contrast of at least 4.5 with its ground, in light and in dark', () => {
  const [light = '', dark = ''] = [...STYLE.matchAll(/:root \{(.*?)\n *\}/gs)].map(([, body]) => body)
  const pairs = [
    ...['ground', 'sheet', 'well'].flatMap((ground) => [
      ['ink', ground],
      ['soft', ground],
    ]),
    ['accent', 'sheet'],
    ['on-accent', 'accent'],
    ['on-accent', 'accent-over'],
    ['care-ink', 'care'],
  ] as const
  for (const scheme of [light, dark]) {
    const colours = new Map([...scheme.matchAll(/--([\w-]+): (#[0-9a-f]{6})/g)].map(([, key = '', value = '']) => [key, value]))
    for (const [text = '', ground = ''] of pairs) {
      const ratio = contrast(colours.get(text) ?? '', colours.get(ground) ?? '')
      assert.ok(ratio >= 4.5, `${text} on ${ground}: ${ratio.toFixed(2)}`)
    }
    const edge = contrast(colours.get('edge') ?? '', colours.get('sheet') ?? '')
    assert.ok(edge >= 3, `the border of a button: ${edge.toFixed(2)}`)
  }
})

function contrast(one: string, other: string): number {
  const [dark = 0, light = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b)
  return (light + 0.05) / (dark + 0.05)
}

function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5]
    .map((at) => Number.parseInt(colour.slice(at, at + 2), 16) / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}
