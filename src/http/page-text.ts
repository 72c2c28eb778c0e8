/** Makes a text from outside safe to show inside our own sentences: one line, bounded, and nothing in it that acts on its surroundings. */

/** What an app, a provider, an account or an owner may call itself at most, in characters. */
export const NAME_MAX = 80
/** How much of an error's description is shown. */
export const DESCRIPTION_MAX = 300

// Reading stops here whatever the text is, so that a megabyte of invisible characters costs nothing.
const RAW_MAX = 10_000
const BREAKS = /[\t\n\v\f\r\u0085\u2028\u2029\u2800]/gu
// Controls; formatting such as U+202E, which would write the rest of our sentence backwards; everything meant to be drawn as nothing.
const UNSEEN = /[[\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}]--[\u200C\u200D]]/gv
// Words of Persian and Hindi, and many an emoji, are spelt with joiners. At an edge or in a row they are nothing but unseen; and between two marks
// one would make two towers of one.
const STRAY_JOINER =
  /(?!(?<=\p{L}).[\p{L}\p{M}]|(?<=\p{M}).\p{L}|(?<=[\p{Extended_Pictographic}\p{Emoji_Modifier}])\u200D\p{Extended_Pictographic})[\u200C\u200D]/gu
const CUT_END = /[\s\u200C\u200D]+$/u
// No script stacks more than four marks on a letter; forty of them paint over the lines above.
const TOWERS = /(\p{M}{4})\p{M}+/gu

export function clean(text: string, lengthMax = NAME_MAX): string {
  const line = text
    .slice(0, RAW_MAX)
    .toWellFormed()
    .replace(BREAKS, ' ')
    .replace(UNSEEN, '')
    .replace(STRAY_JOINER, '')
    .normalize('NFC')
    .replace(TOWERS, '$1')
    .replace(/\s+/gu, ' ')
    .trim()
  const characters = [...line]
  return characters.length <= lengthMax
    ? line
    : `${characters
        .slice(0, lengthMax - 1)
        .join('')
        .replace(CUT_END, '')}…`
}
