import { hostname } from 'node:os'

/** This machine's name, as other machines may know it. */
export function hostName(): string {
  return hostname()
}
