import { choiceField, defineSection } from './config-section.ts'
import { LOG_LEVELS } from './log.ts'

export const logConfig = defineSection('Log', {
  level: choiceField({
    variable: 'ALTER_LOG_LEVEL',
    sentence:
      'How much is logged, as JSON lines on standard error. `debug` adds every refusal; no level logs a secret.',
    choices: LOG_LEVELS,
    fallback: 'info',
  }),
})
