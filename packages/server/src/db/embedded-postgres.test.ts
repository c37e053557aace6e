import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type DatabaseConnection, toClientConfig } from './connection.ts'
import { createEmbeddedPostgres, type EmbeddedPostgresOptions } from './embedded-postgres.ts'

const run = promisify(execFile)
const asRoot = process.getuid?.() === 0
const onLinux = process.platform === 'linux'
const WAIT = { timeout: 20_000, interval: 20 }

type LogLine = { level: string; message: string }

function recordingLog() {
  const lines: LogLine[] = []
  const at = (level: string) => (_fields: object, message: string) => void lines.push({ level, message })
  return { lines, log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') } }
}

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'alter-vault-pg-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** Starts on `dataDir` and stops when the test ends. */
async function start(dataDir: string, options: Partial<EmbeddedPostgresOptions> = {}) {
  const { log } = recordingLog()
  const postgres = await createEmbeddedPostgres({
    dataDir,
    log,
    settings: { fsync: 'off' },
    ballastBytes: 0,
    relocationRoot: `${dataDir}-relocated`,
    ...options,
  })
  onTestFinished(() => postgres.close())
  return postgres
}

async function query<Row extends object>(connection: DatabaseConnection, statement: string): Promise<Row[]> {
  const client = new Client(toClientConfig(connection, { applicationName: 'test', connectTimeoutMs: 5_000 }))
  client.on('error', () => undefined)
  await client.connect()
  try {
    return (await client.query<Row>(statement)).rows
  } finally {
    await client.end()
  }
}

const marks = (connection: DatabaseConnection) =>
  query<{ mark: string }>(connection, 'select mark from marks order by mark')

/** False for a zombie: a container's first process may leave those. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !onLinux || readFileSync(`/proc/${pid}/cmdline`, 'utf8') !== ''
  } catch {
    return false
  }
}

const MODULE = fileURLToPath(new URL('./embedded-postgres.ts', import.meta.url))

/** Another process that starts PostgreSQL on `dataDir`, says its pid, and then only waits. */
function startElsewhere(dataDir: string, env: NodeJS.ProcessEnv = process.env): ChildProcess {
  const script = `
    const { createEmbeddedPostgres } = await import(${JSON.stringify(MODULE)})
    const quiet = () => undefined
    const postgres = await createEmbeddedPostgres({
      dataDir: ${JSON.stringify(dataDir)}, log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
      settings: { fsync: 'off' }, ballastBytes: 0,
    })
    console.log(postgres.pid())
    setInterval(() => undefined, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  return child
}

async function readPid(child: ChildProcess): Promise<number> {
  const [line] = (await once(createInterface({ input: child.stdout! }), 'line')) as [string]
  return Number(line)
}

async function killHard(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

/** A data folder with a database that holds one row, made once and copied. */
let template: string

beforeAll(async () => {
  template = await mkdtemp(join(tmpdir(), 'alter-vault-pg-'))
  const { log } = recordingLog()
  const postgres = await createEmbeddedPostgres({ dataDir: template, log, settings: { fsync: 'off' }, ballastBytes: 0 })
  await query(postgres.ownerConnection, "create table marks (mark text); insert into marks values ('kept')")
  await postgres.close()
}, 30_000)

afterAll(() => rm(template, { recursive: true, force: true }))

async function usedFolder(): Promise<string> {
  const folder = await temporaryFolder()
  await run('cp', ['-a', `${template}/.`, folder])
  return folder
}

describe('a healthy data folder', () => {
  test('offers the server role and the owner, and nothing but the socket', async () => {
    const postgres = await start(await usedFolder())
    expect(await query(postgres.connection, 'select current_user::text as role')).toEqual([
      { role: 'alter_vault_server' },
    ])
    expect(
      await query(
        postgres.ownerConnection,
        "select current_user::text as role, current_setting('listen_addresses') as tcp",
      ),
    ).toEqual([{ role: 'postgres', tcp: '' }])
    expect(
      await query(
        postgres.connection,
        'select rolsuper or rolbypassrls or rolcreaterole as mighty from pg_roles where rolname = current_user',
      ),
    ).toEqual([{ mighty: false }])
  })

  test('sorts and folds by Unicode code point, in every place the same', async () => {
    const postgres = await start(await usedFolder())
    expect(
      await query(
        postgres.connection,
        "select datlocprovider::text as provider, datlocale as locale, upper('café') as folded from pg_database where datname = current_database()",
      ),
    ).toEqual([{ provider: 'b', locale: 'C.UTF-8', folded: 'CAFÉ' }])
  })

  test('is durable unless told otherwise', async () => {
    const postgres = await start(await usedFolder(), { settings: {} })
    expect(
      await query(
        postgres.connection,
        "select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit",
      ),
    ).toEqual([{ fsync: 'on', commit: 'on' }])
  })

  test('keeps its data over a restart and can be closed twice', async () => {
    const folder = await usedFolder()
    const first = await start(folder)
    const pid = first.pid()!
    await first.close()
    await first.close()
    expect(isAlive(pid)).toBe(false)
    const second = await start(folder)
    expect(await marks(second.ownerConnection)).toEqual([{ mark: 'kept' }])
  })

  test('close ends sessions that are still open', async () => {
    const postgres = await start(await usedFolder())
    const client = new Client(toClientConfig(postgres.connection, { applicationName: 'test', connectTimeoutMs: 5_000 }))
    const losses: Error[] = []
    client.on('error', (error) => losses.push(error))
    await client.connect()
    await postgres.close()
    expect(losses[0]?.message).toMatch(/terminating connection due to administrator command/)
  })

  test.runIf(onLinux)('does not hand the environment of the server to PostgreSQL', async () => {
    vi.stubEnv('ALTER_ROOT_KEY', 'canary-5d1c')
    onTestFinished(() => void vi.unstubAllEnvs())
    const postgres = await start(await usedFolder())
    expect(await readFile(`/proc/${postgres.pid()}/environ`, 'utf8')).not.toContain('canary-5d1c')
  })
})

describe('a process that was killed', () => {
  test('PostgreSQL itself: it is started again and has lost nothing', async () => {
    const { lines, log } = recordingLog()
    const postgres = await start(await usedFolder(), { log })
    await query(postgres.ownerConnection, "insert into marks values ('acknowledged')")
    const pid = postgres.pid()!
    process.kill(pid, 'SIGKILL')
    await vi.waitFor(async () => {
      expect(postgres.pid()).not.toBe(pid)
      expect(await marks(postgres.ownerConnection)).toEqual([{ mark: 'acknowledged' }, { mark: 'kept' }])
    }, WAIT)
    expect(lines).toContainEqual({ level: 'error', message: 'PostgreSQL ended by itself; starting it again' })
  })

  test('closing while PostgreSQL waits to be started again leaves no process', async () => {
    const { lines, log } = recordingLog()
    const postgres = await start(await usedFolder(), { log })
    const pid = postgres.pid()!
    process.kill(pid, 'SIGKILL')
    await vi.waitFor(() => expect(lines.some(({ level }) => level === 'error')).toBe(true), WAIT)
    await postgres.close()
    expect(isAlive(postgres.pid()!)).toBe(false)
  })

  test.runIf(onLinux)('the server: PostgreSQL stops with it', async () => {
    const folder = await usedFolder()
    const server = startElsewhere(folder)
    const pid = await readPid(server)
    await killHard(server)
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), WAIT)
    expect(await marks((await start(folder)).ownerConnection)).toEqual([{ mark: 'kept' }])
  })

  test('the server, where nothing ties PostgreSQL to it: the next start ends the orphan and has lost nothing', async () => {
    const folder = await usedFolder()
    const server = startElsewhere(folder, { ...process.env, PATH: '' })
    const orphan = await readPid(server)
    await killHard(server)
    expect(isAlive(orphan)).toBe(true)

    const { lines, log } = recordingLog()
    const postgres = await start(folder, { log })
    expect(isAlive(orphan)).toBe(false)
    expect(await marks(postgres.ownerConnection)).toEqual([{ mark: 'kept' }])
    expect(lines).toContainEqual({ level: 'warn', message: 'Cleared what a killed server left in the data folder' })
  })

  test('the server, during initdb: the half-made folder is removed and initdb runs anew', async () => {
    const folder = await temporaryFolder()
    const server = startElsewhere(folder)
    const unfinished = await vi.waitFor(async () => {
      const found = (await readdir(folder)).find((name) => name.startsWith('pg.initdb-'))
      expect(await readdir(join(folder, found ?? 'none'))).toContain('PG_VERSION')
      return found
    }, WAIT)
    await killHard(server)
    expect(await readdir(folder)).toContain(unfinished)
    expect(await readdir(folder)).not.toContain('pg')

    const postgres = await start(folder)
    expect(await query(postgres.connection, 'select 1 as one')).toEqual([{ one: 1 }])
    expect((await readdir(folder)).sort()).toEqual(['pg', 'pg-socket'])
  })
})

describe('a data folder that must not be touched', () => {
  test('a second server on it is refused, and the first goes on', async () => {
    const folder = await usedFolder()
    const first = await start(folder)
    await expect(start(folder)).rejects.toMatchObject({
      problem: 'data_folder_in_use',
      path: join(folder, 'pg'),
      message: expect.stringContaining(`in use by process ${first.pid()}, started by process ${process.pid}`),
    })
    expect(await marks(first.ownerConnection)).toEqual([{ mark: 'kept' }])
  })

  test('two servers that start at the same moment: one gets it', async () => {
    const folder = await usedFolder()
    const results = await Promise.allSettled([start(folder), start(folder)])
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    const refused = results.find((result) => result.status === 'rejected')
    expect(String(refused?.reason)).toMatch(/is in use by/)
    expect(refused?.reason).toMatchObject({ problem: 'data_folder_in_use' })
  })

  test('a lock of a process out of sight whose socket answers counts as in use', async () => {
    const folder = await usedFolder()
    const elsewhere = await temporaryFolder()
    const listener = createServer((socket) => socket.destroy()).listen(join(elsewhere, '.s.PGSQL.5432'))
    await once(listener, 'listening')
    onTestFinished(() => void listener.close())
    await writeFile(join(folder, 'pg', 'postmaster.pid'), `${process.pid}\n/data/pg\n1\n5432\n${elsewhere}\n\n`)
    await expect(start(folder)).rejects.toMatchObject({
      problem: 'data_folder_in_use',
      message: expect.stringContaining('another container'),
    })
  })

  test('another major version is named together with the way out', async () => {
    const folder = await usedFolder()
    await writeFile(join(folder, 'pg', 'PG_VERSION'), '17\n')
    await expect(start(folder)).rejects.toMatchObject({
      problem: 'other_major_version',
      path: join(folder, 'pg'),
      message: expect.stringMatching(
        /made by PostgreSQL 17; this program brings PostgreSQL 18.*pg_dump.*DATABASE_URL/s,
      ),
    })
  })

  test('a folder with other things in it is left alone', async () => {
    const folder = await temporaryFolder()
    await mkdir(join(folder, 'pg'))
    await writeFile(join(folder, 'pg', 'thesis.txt'), 'mine')
    await expect(start(folder)).rejects.toMatchObject({ problem: 'data_folder_unusable', path: join(folder, 'pg') })
    expect(await readFile(join(folder, 'pg', 'thesis.txt'), 'utf8')).toBe('mine')
  })

  test('a data path that is a file is refused by name', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'data'), '')
    await expect(start(join(folder, 'data'))).rejects.toMatchObject({
      problem: 'data_folder_forbidden',
      path: join(folder, 'data'),
    })
  })

  test('what PostgreSQL said last is in the error when it refuses to start', async () => {
    await expect(start(await usedFolder(), { settings: { shared_buffers: 'plenty' } })).rejects.toMatchObject({
      problem: 'start_failed',
      message: expect.stringContaining('invalid value for parameter "shared_buffers": "plenty"'),
    })
  })
})

describe('a data folder that can be mended', () => {
  test('a lock file whose process id now belongs to another program is removed', async () => {
    const folder = await usedFolder()
    await writeFile(
      join(folder, 'pg', 'postmaster.pid'),
      `${process.pid}\n${folder}/pg\n1\n5432\n${folder}/pg-socket\n\n`,
    )
    const { lines, log } = recordingLog()
    expect(await marks((await start(folder, { log })).ownerConnection)).toEqual([{ mark: 'kept' }])
    expect(lines).toContainEqual({ level: 'warn', message: 'Cleared what a killed server left in the data folder' })
  })

  test('lock files, that of the socket as well, whose process id belongs to another program or a zombie are removed', async () => {
    const folder = await usedFolder()
    const parent = spawn('sh', ['-c', 'true & echo $!; exec sleep 60'])
    onTestFinished(() => void parent.kill())
    const [zombie] = await once(parent.stdout.setEncoding('utf8'), 'data')
    for (const pid of [process.pid, Number(zombie)]) {
      const lock = `${pid}\n${folder}/pg\n1\n5432\n${folder}/pg-socket\n\n`
      await writeFile(join(folder, 'pg', 'postmaster.pid'), lock)
      await writeFile(join(folder, 'pg-socket', '.s.PGSQL.5432.lock'), lock)
      const postgres = await start(folder)
      expect(await marks(postgres.ownerConnection)).toEqual([{ mark: 'kept' }])
      await postgres.close()
    }
  })

  test('a lock file that a full disk left empty is removed', async () => {
    const folder = await usedFolder()
    await writeFile(join(folder, 'pg', 'postmaster.pid'), '')
    await writeFile(join(folder, 'pg-socket', '.s.PGSQL.5432.lock'), '')
    expect(await marks((await start(folder)).ownerConnection)).toEqual([{ mark: 'kept' }])
  })

  test('a lock file of a process that is gone does not matter', async () => {
    const folder = await usedFolder()
    const gone = spawn('true')
    await once(gone, 'exit')
    await writeFile(join(folder, 'pg', 'postmaster.pid'), `${gone.pid}\n${folder}/pg\n1\n5432\n${folder}/pg-socket\n\n`)
    expect(await marks((await start(folder)).ownerConnection)).toEqual([{ mark: 'kept' }])
  })

  test('an empty folder in the place of the data is used', async () => {
    const folder = await temporaryFolder()
    await mkdir(join(folder, 'pg'))
    expect(await query((await start(folder)).connection, 'select 1 as one')).toEqual([{ one: 1 }])
  })

  test('a path too long for a socket gets a short socket folder, gone after close', async () => {
    const folder = join(await temporaryFolder(), 'long-'.repeat(20))
    await cp(template, folder, { recursive: true })
    if (asRoot) {
      await chmod(dirname(folder), 0o711)
      await run('chown', ['-R', '65534:65534', join(folder, 'pg')])
    }
    const postgres = await start(folder)
    const socketFolder = postgres.connection.host
    expect(Buffer.byteLength(socketFolder)).toBeLessThanOrEqual(93)
    expect((await stat(socketFolder)).mode & 0o777).toBe(0o700)
    expect(await marks(postgres.ownerConnection)).toEqual([{ mark: 'kept' }])
    await postgres.close()
    await expect(stat(socketFolder)).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

describe.runIf(asRoot)('run by root', () => {
  test('PostgreSQL runs as an unprivileged user that owns only the data', async () => {
    const folder = await usedFolder()
    const postgres = await start(folder)
    expect(await readFile(`/proc/${postgres.pid()}/status`, 'utf8')).toMatch(/^Uid:\t65534\t65534\t65534\t65534$/m)
    expect((await stat(join(folder, 'pg'))).uid).toBe(65534)
    expect((await stat(folder)).uid).toBe(0)
    expect((await stat(folder)).mode & 0o777).toBe(0o701)
  })

  test('data under a folder that this user cannot enter is kept where it can, and found again', async () => {
    const locked = await temporaryFolder()
    const relocationRoot = await temporaryFolder()
    await chmod(relocationRoot, 0o755)
    const dataDir = join(locked, 'data')
    const { lines, log } = recordingLog()
    const first = await start(dataDir, { relocationRoot, log })
    await query(first.ownerConnection, "create table marks (mark text); insert into marks values ('relocated')")
    expect(await readlink(join(dataDir, 'pg'))).toMatch(new RegExp(`^${relocationRoot}/[0-9a-f]{12}/pg$`))
    expect(lines.filter(({ level }) => level === 'warn').map(({ message }) => message)).toEqual([
      expect.stringContaining(`cannot enter "${dataDir}"`),
    ])
    await first.close()
    expect(await marks((await start(dataDir, { relocationRoot })).ownerConnection)).toEqual([{ mark: 'relocated' }])
  })

  test('a link to data that is not there is an error, not an empty database', async () => {
    const locked = await temporaryFolder()
    const relocationRoot = await temporaryFolder()
    await chmod(relocationRoot, 0o755)
    const dataDir = join(locked, 'data')
    await (await start(dataDir, { relocationRoot })).close()
    await rm(relocationRoot, { recursive: true })
    await expect(start(dataDir, { relocationRoot })).rejects.toMatchObject({
      problem: 'data_folder_unusable',
      path: join(dataDir, 'pg'),
    })
  })
})

/** A disk of its own, small enough to fill. Only root may mount one, and not in every container. */
async function mountSmallDisk(): Promise<string | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'alter-vault-disk-'))
  try {
    await run('mount', ['-t', 'tmpfs', '-o', 'size=160m,mode=755', 'tmpfs', folder])
    return folder
  } catch {
    await rm(folder, { recursive: true })
    return undefined
  }
}

const disk = asRoot && onLinux ? await mountSmallDisk() : undefined
afterAll(async () => {
  if (disk === undefined) return
  await run('umount', [disk])
  await rm(disk, { recursive: true })
})

const fill = (folder: string) => run('dd', ['if=/dev/zero', `of=${folder}/filler`, 'bs=64k']).catch(() => undefined)

describe.runIf(disk !== undefined)('a full disk (needs the right to mount one)', () => {
  test('the reserve is freed once, then the start is refused by name, and nothing is lost', async () => {
    const folder = join(disk!, 'data')
    await run('cp', ['-a', template, folder])
    const reserve = { ballastBytes: 16 * 1024 * 1024 }
    await (await start(folder, reserve)).close()
    expect((await stat(join(folder, 'pg-ballast'))).size).toBe(reserve.ballastBytes)

    await fill(disk!)
    const { lines, log } = recordingLog()
    const postgres = await start(folder, { ...reserve, log })
    expect(await marks(postgres.ownerConnection)).toEqual([{ mark: 'kept' }])
    expect(lines.filter(({ level }) => level === 'error')).toEqual([
      { level: 'error', message: expect.stringMatching(/is full.*reserve.*was freed.*make room there now/) },
    ])
    await postgres.close()

    await run('dd', ['if=/dev/zero', `of=${disk}/filler-2`, 'bs=64k']).catch(() => undefined)
    await run('dd', ['if=/dev/zero', `of=${disk}/filler-3`, 'bs=1']).catch(() => undefined)
    await expect(start(folder, reserve)).rejects.toMatchObject({ problem: 'disk_full' })

    for (const name of ['filler', 'filler-2', 'filler-3']) await rm(join(disk!, name), { force: true })
    expect(await marks((await start(folder, reserve)).ownerConnection)).toEqual([{ mark: 'kept' }])
  })
})
