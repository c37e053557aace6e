import { defineSection, pathField } from '../kernel/config-section.ts'

export const cryptoConfig = defineSection('Keys', {
  rootKeyFile: pathField({
    variable: 'ALTER_ROOT_KEY_FILE',
    sentence:
      'File of the root keys that wrap every data key, mode 0600; made when missing. Whoever loses it loses every credential. Keep a copy apart from the database.',
    shownDefault: '`root-keys.json` in the data folder in development',
  }),
  pepperFile: pathField({
    variable: 'ALTER_PEPPER_FILE',
    sentence:
      'File of the secret under which API keys are digested, mode 0600; made when missing. Whoever loses it must replace every API key.',
    shownDefault: '`api-key-pepper.json` in the data folder in development',
  }),
  auditSigningKeyFile: pathField({
    variable: 'ALTER_AUDIT_SIGNING_KEY_FILE',
    sentence:
      'File of the Ed25519 keys that sign audit checkpoints, mode 0600; made when missing. Old checkpoints stay verifiable without it.',
    shownDefault: '`audit-signing-keys.json` in the data folder in development',
  }),
})
