/**
 * How many tickets are remembered as given back, each until it ends: by their broker, who tells their site of them, and by
 * the site, which honours them no more. The broker stops granting before the site has to forget which they are:
 *
 *   of one holder ─▶ all at one site ─▶ and, besides, what is out there when nothing more is granted ─▶ kept at the site
 *      50,000            200,000                            50,000                                        250,000
 */

/** Of one holder at one broker. */
export const RETURNED_OF_HOLDER_MAX = 50_000
/** Of all holders at one broker, for one site. */
export const RETURNED_AT_SITE_MAX = 200_000
/** At a site, of one broker. Beyond it none is honoured that this broker has issued until then. */
export const RETURNED_KEPT_MAX = 250_000
/** ... of those that had ended already when it heard of them: only not to write down again what is said again. */
export const RETURNED_ENDED_MAX = 50_000
