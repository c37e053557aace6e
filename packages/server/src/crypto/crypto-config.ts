import { ConfigFault, choiceField, defineField, defineSection, pathField } from '../kernel/config-section.ts'
import { Secret } from './secret.ts'

const ONLY = 'With `ALTER_ROOT_KEYS=vault_transit` only.'

export const cryptoConfig = defineSection('Root keys', {
  kind: choiceField({
    variable: 'ALTER_ROOT_KEYS',
    sentence:
      'Where the root keys are, which wrap every other key: in a file, or in the Transit engine of OpenBao or HashiCorp Vault. Whoever loses them loses every credential.',
    choices: ['file', 'vault_transit'],
    fallback: 'file',
  }),
  file: pathField({
    variable: 'ALTER_ROOT_KEY_FILE',
    sentence: 'File of the root keys, mode 0600; made when missing. Keep a copy apart from the database.',
    shownDefault: '`root-keys.json` in the data folder in development',
  }),
  address: defineField<string | undefined>(
    {
      variable: 'ALTER_TRANSIT_ADDRESS',
      sentence: `Origin of the service, such as \`https://bao.example.com:8200\`. ${ONLY}`,
    },
    undefined,
    undefined,
    readAddress,
  ),
  mount: nameField('ALTER_TRANSIT_MOUNT', `Path at which the Transit engine is mounted. ${ONLY}`, 'transit'),
  key: nameField('ALTER_TRANSIT_KEY', `Name of the key, of type \`aes256-gcm96\`. ${ONLY}`, 'alter-vault'),
  token: {
    ...defineField<Secret | undefined>(
      {
        variable: 'ALTER_TRANSIT_TOKEN',
        sentence: `A token that may update \`encrypt\` and \`decrypt\` of the key. This or \`ALTER_TRANSIT_TOKEN_FILE\`. ${ONLY}`,
      },
      undefined,
      undefined,
      (text) => new Secret(text),
    ),
    secret: true,
  },
  tokenFile: pathField({
    variable: 'ALTER_TRANSIT_TOKEN_FILE',
    sentence: `File that holds the token, read anew for each request, so that an agent can renew it. ${ONLY}`,
  }),
})

function readAddress(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isLocal = url !== undefined && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
  if (url?.protocol !== 'https:' && !(url?.protocol === 'http:' && isLocal)) {
    throw new ConfigFault('must be a URL with https, or with http on this machine')
  }
  if (url.username !== '' || url.password !== '' || url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    throw new ConfigFault('must end after host and port and hold no user')
  }
  return url.origin
}

function nameField(variable: string, sentence: string, fallback: string) {
  return defineField<string>({ variable, sentence }, fallback, fallback, (text) => {
    if (!/^[\w.-]+(\/[\w.-]+)*$/.test(text) || text.includes('..'))
      throw new ConfigFault(`must be a name; got "${text}"`)
    return text
  })
}
