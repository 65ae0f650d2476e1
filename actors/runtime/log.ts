/** Constant message plus fields, as pino takes them. */
export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** What is said of things never ends them: a log that cannot write a line (a full disk, an error of a strange form) loses it. */
export function unfailing(log: Log): Log {
  const tell =
    (level: keyof Log) =>
    (fields: object, message: string): void => {
      try {
        log[level](fields, message)
      } catch {
        // There is nowhere to tell it.
      }
    }
  return { debug: tell('debug'), info: tell('info'), warn: tell('warn'), error: tell('error') }
}
