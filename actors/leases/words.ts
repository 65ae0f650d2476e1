/** `1 unit`, `3 units`: as reasons say it. */
export const someUnits = (count: number): string => `${count} unit${count === 1 ? '' : 's'}`
