/** What a color says: waits for a person, refused or broken, allowed, information, shadow, or nothing. */
export type Tone = 'wait' | 'stop' | 'go' | 'info' | 'shadow' | 'plain'
