import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import chromiumPackage from '@sparticuz/chromium'
import { type Browser, chromium } from 'playwright-core'

const INSTALLED = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/opt/google/chrome/chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
]

/*
 * Two processes of the browser in one (`--single-process`) crash under load, and the package's own list of arguments also turns off
 * web security, which these tests are about: so none of its arguments are taken.
 */
const ARGUMENTS = ['--no-zygote', '--font-render-hinting=none', '--disable-gpu']

async function packageVersion(): Promise<string> {
  const entry = createRequire(import.meta.url).resolve('@sparticuz/chromium')
  const manifest = JSON.parse(await readFile(join(dirname(entry), '..', 'package.json'), 'utf8')) as { version: string }
  return manifest.version
}

/* Unpacks into the folder that the package takes from TMPDIR, which it reads anew at each call. */
async function unpackInto(folder: string): Promise<void> {
  const before = process.env.TMPDIR
  process.env.TMPDIR = folder
  try {
    await chromiumPackage.executablePath()
  } finally {
    if (before === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = before
  }
}

/**
 * The browser of the npm package, unpacked once per version: the package itself takes any browser it finds, whatever its version.
 * Unpacked beside and moved into place, so that test files that start together never run a half-written file.
 */
async function packagedExecutable(): Promise<string> {
  const folder = join(tmpdir(), `alter-vault-chromium-${await packageVersion()}-${process.getuid?.() ?? 0}`)
  const executable = join(folder, 'chromium')
  if (existsSync(executable)) return executable
  await mkdir(tmpdir(), { recursive: true })
  const fresh = await mkdtemp(`${folder}-`)
  try {
    await unpackInto(fresh)
    await rename(fresh, folder)
  } catch (error) {
    if (!existsSync(executable)) throw error
  } finally {
    await rm(fresh, { recursive: true, force: true })
  }
  return executable
}

const launch = (executablePath: string) => {
  const fonts = join(dirname(executablePath), 'fonts')
  return chromium.launch({
    executablePath,
    headless: true,
    args: ARGUMENTS,
    env: {
      ...process.env,
      ...(existsSync('/etc/fonts/fonts.conf') || !existsSync(fonts) ? {} : { FONTCONFIG_PATH: fonts }),
    },
  })
}

/**
 * A headless Chromium: the one of the npm package, or, where that cannot run (another system, missing libraries), `CHROMIUM_PATH` or
 * an installed one. Rejects with the first error when none starts. The caller closes it.
 */
export async function launchBrowser(): Promise<Browser> {
  try {
    return await launch(await packagedExecutable())
  } catch (error) {
    for (const path of [process.env.CHROMIUM_PATH, ...INSTALLED]) {
      if (path && existsSync(path)) return launch(path)
    }
    throw error
  }
}
