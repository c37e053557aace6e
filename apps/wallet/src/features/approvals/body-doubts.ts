import type { BodyView } from '@alter-vault/contracts'
import type { Tone } from '@alter-vault/web-kit/tone.ts'

export type DoubtWords = { tone: Extract<Tone, 'info' | 'wait' | 'stop'>; title: string; sentence: string }

const WORDS: Record<NonNullable<BodyView['doubt']>, DoubtWords> = {
  content_type: {
    tone: 'info',
    title: 'Shown exactly as it is sent',
    sentence: 'Its type is neither plain JSON nor a plain form, so the vault cannot say how the provider reads it.',
  },
  content_encoding: {
    tone: 'wait',
    title: 'This body says that it is encoded',
    sentence: 'The provider may decode it into something else than you see.',
  },
  too_long: { tone: 'wait', title: 'This body is too long to be read', sentence: 'Approve only what you know.' },
  not_utf8: { tone: 'wait', title: 'This is not text', sentence: 'People cannot read it. Approve only what you know.' },
  malformed: {
    tone: 'wait',
    title: 'This is not what its type says',
    sentence: 'The provider may read it in another way than you do. It is shown as it will be sent.',
  },
  ambiguous: {
    tone: 'stop',
    title: 'This body has more than one reading',
    sentence:
      'A member is named twice, or in two spellings that some readers take for one. They may understand two different things.',
  },
}

/** What a reader should know before trusting their own reading of a body; null when there is but one reading. */
export const doubtWords = ({ doubt }: Pick<BodyView, 'doubt'>): DoubtWords | null => (doubt ? WORDS[doubt] : null)
