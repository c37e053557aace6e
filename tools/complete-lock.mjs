/*
 * Makes package-lock.json name every optional dependency. `npm install` leaves out, without a word, those for other platforms
 * that the registry in use does not serve, and `npm ci` then refuses the file ("Missing: … from lock file"). Run it after each
 * `npm install`. An entry made here has no integrity; `npm install` against a registry that serves the package replaces it.
 *
 *   node tools/complete-lock.mjs [package-lock.json]
 */
import { readFileSync, writeFileSync } from 'node:fs'

const SYSTEMS = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32']
const PROCESSORS = ['arm64', 'arm', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'x64', 'wasm32']

/**
 * Where Node looks for `name` from the package at `path`, nearest first.
 * @param {string} path key of a package in the lock file; '' is the root
 * @param {string} name
 */
function placesOf(path, name) {
  const parents = path.split('/node_modules/')
  const folders = parents.map((_, index) => parents.slice(0, parents.length - index).join('/node_modules/'))
  return [
    ...folders.filter((folder) => folder !== '').map((folder) => `${folder}/node_modules/${name}`),
    `node_modules/${name}`,
  ]
}

/** @param {string} name */
function platformOf(name) {
  const words = name.split(/[-/@_.]/)
  const os = SYSTEMS.filter((system) => words.includes(system))
  const cpu = PROCESSORS.filter((processor) => words.includes(processor))
  return { ...(cpu.length > 0 ? { cpu } : {}), ...(os.length > 0 ? { os } : {}) }
}

/**
 * The lock file with the missing entries, in npm's order, and their names.
 * @param {{ packages: Record<string, Record<string, any>> }} lock
 */
export function completeLock(lock) {
  const packages = { ...lock.packages }
  const added = []
  for (const [path, entry] of Object.entries(lock.packages)) {
    for (const [name, range] of Object.entries(entry.optionalDependencies ?? {})) {
      if (placesOf(path, name).some((place) => place in packages)) continue
      packages[`node_modules/${name}`] = {
        version: range.replace(/^[\^~=]/, ''),
        ...platformOf(name),
        ...(entry.dev ? { dev: true } : {}),
        optional: true,
      }
      added.push(name)
    }
  }
  const sorted = Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : 1))
  return { lock: { ...lock, packages: Object.fromEntries(sorted) }, added }
}

if (import.meta.main ?? process.argv[1]?.endsWith('complete-lock.mjs')) {
  const file = process.argv[2] ?? 'package-lock.json'
  const { lock, added } = completeLock(JSON.parse(readFileSync(file, 'utf8')))
  if (added.length > 0) writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
  process.stdout.write(added.length === 0 ? 'Nothing was missing.\n' : `Added ${added.join(', ')}\n`)
}
