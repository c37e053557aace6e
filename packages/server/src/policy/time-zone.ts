/**
 * Names of the tz database (`backward`, `etcetera`) that Intl accepts and does not list because it answers another name for them.
 * Intl compares names without regard to case, so the exact case of these can only be known from a list.
 */
const LINKED_NAMES = `
  Africa/Asmara Africa/Timbuktu America/Argentina/Buenos_Aires America/Argentina/Catamarca
  America/Argentina/ComodRivadavia America/Argentina/Cordoba America/Argentina/Jujuy America/Argentina/Mendoza
  America/Atikokan America/Atka America/Ensenada America/Fort_Wayne America/Indiana/Indianapolis
  America/Kentucky/Louisville America/Knox_IN America/Montreal America/Nipigon America/Nuuk America/Pangnirtung
  America/Porto_Acre America/Rainy_River America/Rosario America/Santa_Isabel America/Shiprock America/Thunder_Bay
  America/Virgin America/Yellowknife Antarctica/South_Pole Asia/Ashkhabad Asia/Choibalsan Asia/Chongqing
  Asia/Chungking Asia/Dacca Asia/Harbin Asia/Ho_Chi_Minh Asia/Istanbul Asia/Kashgar Asia/Kathmandu Asia/Kolkata
  Asia/Macao Asia/Tel_Aviv Asia/Thimbu Asia/Ujung_Pandang Asia/Ulan_Bator Asia/Yangon Atlantic/Faroe
  Atlantic/Jan_Mayen Australia/ACT Australia/Canberra Australia/Currie Australia/LHI Australia/NSW Australia/North
  Australia/Queensland Australia/South Australia/Tasmania Australia/Victoria Australia/West Australia/Yancowinna
  Brazil/Acre Brazil/DeNoronha Brazil/East Brazil/West CET CST6CDT Canada/Atlantic Canada/Central Canada/Eastern
  Canada/Mountain Canada/Newfoundland Canada/Pacific Canada/Saskatchewan Canada/Yukon Chile/Continental
  Chile/EasterIsland Cuba EET EST EST5EDT Egypt Eire Etc/GMT Etc/GMT+0 Etc/GMT+1 Etc/GMT+10 Etc/GMT+11 Etc/GMT+12
  Etc/GMT+2 Etc/GMT+3 Etc/GMT+4 Etc/GMT+5 Etc/GMT+6 Etc/GMT+7 Etc/GMT+8 Etc/GMT+9 Etc/GMT-0 Etc/GMT-1 Etc/GMT-10
  Etc/GMT-11 Etc/GMT-12 Etc/GMT-13 Etc/GMT-14 Etc/GMT-2 Etc/GMT-3 Etc/GMT-4 Etc/GMT-5 Etc/GMT-6 Etc/GMT-7
  Etc/GMT-8 Etc/GMT-9 Etc/GMT0 Etc/Greenwich Etc/UCT Etc/UTC Etc/Universal Etc/Zulu Europe/Belfast Europe/Kyiv
  Europe/Nicosia Europe/Tiraspol Europe/Uzhgorod Europe/Zaporozhye GB GB-Eire GMT GMT+0 GMT-0 GMT0 Greenwich HST
  Hongkong Iceland Iran Israel Jamaica Japan Kwajalein Libya MET MST MST7MDT Mexico/BajaNorte Mexico/BajaSur
  Mexico/General NZ NZ-CHAT Navajo PRC PST8PDT Pacific/Chuuk Pacific/Johnston Pacific/Kanton Pacific/Pohnpei
  Pacific/Samoa Pacific/Yap Poland Portugal ROC ROK Singapore Turkey UCT US/Alaska US/Aleutian US/Arizona
  US/Central US/East-Indiana US/Eastern US/Hawaii US/Indiana-Starke US/Michigan US/Mountain US/Pacific US/Samoa
  UTC Universal W-SU WET Zulu
`

const knownNames = new Set([...Intl.supportedValuesOf('timeZone'), ...LINKED_NAMES.trim().split(/\s+/)])

/** True for an IANA time zone name in its exact case. Offsets such as `+01:00` are no names. */
export function isTimeZoneName(name: string): boolean {
  return knownNames.has(name)
}

/** A local date and time to the minute. `dateNumber` counts days since 1970-01-01; `weekday` is 0 for Monday. */
export type WallClock = { dateNumber: number; weekday: number; minuteOfDay: number; offsetMs: number }

/** A zone's clock: what it shows at an instant, and when it shows a given time. */
export type ZoneClock = {
  readonly name: string
  /** What the wall clock shows at `atMs`. Kept for the minute it was asked for last. */
  at(atMs: number): WallClock
  /**
   * The instants (0 to 2, ascending) at which the zone shows this local minute; in a skipped hour the one instant at which the
   * clock jumped over it.
   */
  instantsOf(dateNumber: number, minuteOfDay: number): number[]
}

const DAY_MS = 86_400_000
const MINUTE_MS = 60_000
const FORMATTED = /^(\d+)\/(\d+)\/(-?\d+), (\d+):(\d+):(\d+)$/

/** 0 for Monday, from days since 1970-01-01 (a Thursday). */
export function weekdayOf(dateNumber: number): number {
  return (((dateNumber + 3) % 7) + 7) % 7
}

/** Makes the clock of a zone; undefined when this machine has no data for the name or the name's case is wrong. */
export function createZoneClock(name: string): ZoneClock | undefined {
  if (!isTimeZoneName(name)) return undefined
  let format: Intl.DateTimeFormat
  try {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: name,
      calendar: 'gregory',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
    })
  } catch {
    return undefined
  }

  const offsetAt = (atMs: number): number => {
    const seconds = Math.floor(atMs / 1000) * 1000
    const parts = FORMATTED.exec(format.format(seconds))
    if (parts === null) throw new Error(`time zone ${name}: unexpected date form`)
    const shown = Date.UTC(+parts[3]!, +parts[1]! - 1, +parts[2]!, +parts[4]!, +parts[5]!, +parts[6]!)
    return shown - seconds
  }

  let lastMinute = Number.NaN
  let lastShown: WallClock | undefined
  const at = (atMs: number): WallClock => {
    const minute = Math.floor(atMs / MINUTE_MS)
    if (lastShown !== undefined && minute === lastMinute) return lastShown
    const offsetMs = offsetAt(atMs)
    const local = atMs + offsetMs
    const dateNumber = Math.floor(local / DAY_MS)
    lastShown = Object.freeze({
      dateNumber,
      weekday: weekdayOf(dateNumber),
      minuteOfDay: Math.floor((local - dateNumber * DAY_MS) / MINUTE_MS),
      offsetMs,
    })
    lastMinute = minute
    return lastShown
  }

  const instantsOf = (dateNumber: number, minuteOfDay: number): number[] => {
    const local = dateNumber * DAY_MS + minuteOfDay * MINUTE_MS
    const before = offsetAt(local - DAY_MS)
    const after = offsetAt(local + DAY_MS)
    const found = new Set<number>()
    for (const offset of [before, after]) if (offsetAt(local - offset) === offset) found.add(local - offset)
    if (found.size > 0) return [...found].sort((a, b) => a - b)
    // Skipped: the clock jumped from before to after somewhere between the two readings of this local time.
    let low = local - Math.max(before, after)
    let high = local - Math.min(before, after)
    while (high - low > 1000) {
      const middle = Math.floor((low + high) / 2000) * 1000
      if (offsetAt(middle) === before) low = middle
      else high = middle
    }
    return [high]
  }

  return Object.freeze({ name, at, instantsOf })
}
