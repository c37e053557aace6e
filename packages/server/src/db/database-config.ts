import { Secret } from '../crypto/secret.ts'
import {
  ConfigFault,
  type ConfigField,
  defineField,
  defineSection,
  integerField,
  pathField,
} from '../kernel/config-section.ts'

export const databaseConfig = defineSection('Store', {
  dataDir: pathField({
    variable: 'ALTER_DATA_DIR',
    sentence:
      'Folder of the embedded PostgreSQL and, in development, of the root key file. `serve` needs it unless `DATABASE_URL` is set.',
    shownDefault: '`.alter` in development',
  }),
  url: postgresUrlField({
    variable: 'DATABASE_URL',
    sentence:
      'Your own PostgreSQL instead of the embedded one, as a user who is a member of the role `alter_vault_server`.',
    shownDefault: 'the embedded PostgreSQL',
  }),
  migrationUrl: postgresUrlField({
    variable: 'DATABASE_MIGRATION_URL',
    sentence:
      'As `DATABASE_URL`, as the user who owns the tables; used at start-up to migrate, then closed. Without it `DATABASE_URL` itself must be the owner.',
    shownDefault: '`DATABASE_URL`',
  }),
  poolSize: integerField({
    variable: 'ALTER_DATABASE_POOL_SIZE',
    sentence: 'Database sessions for everything but the writing of audit batches, which has its own.',
    min: 2,
    max: 200,
    fallback: 10,
  }),
})

/** A PostgreSQL connection string. It may hold a password, so it is a secret and never quoted back. */
function postgresUrlField(field: {
  variable: string
  sentence: string
  shownDefault: string
}): ConfigField<Secret | undefined> {
  const read = (text: string) => {
    if (!URL.canParse(text) || !/^postgres(ql)?:$/.test(new URL(text).protocol)) {
      throw new ConfigFault('must be a connection string that begins with "postgresql://"')
    }
    return new Secret(text)
  }
  return { ...defineField<Secret | undefined>(field, undefined, field.shownDefault, read), secret: true }
}
