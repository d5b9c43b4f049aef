import { join } from 'node:path';
import type { Media, Pattern } from '../lib/load.js';
import { ROOT } from '../lib/paths.js';

/** The most streams that are measured, where the machine allows them. */
export const MANY = 5000;
/** As fast as the generator can. */
const MAX = 0;
const RECORDINGS = { 'gst-rtsp-server': 'gstreamer.txt', ffmpeg: 'ffmpeg.txt' } as const;

export interface RelayCase {
  name: string;
  media: Media;
  /** Fills the matrix: measured in the first round of a whole run only. */
  once: boolean;
}

/** So many streams, and what is sent through them one after the other. */
export interface RelayCases {
  streams: number;
  cases: RelayCase[];
}

/** `most`: how many streams this machine allows. */
export function relayCases(quick: boolean, most: number): RelayCases[] {
  return quick ? quickCases() : allCases(Math.min(MANY, most));
}

function allCases(many: number): RelayCases[] {
  return [
    cases(1, synthetic(['frames', 'singly'], 1200, [10_000]), [
      ...synthetic(['frames', 'singly'], 200, [10_000]),
      ...synthetic(['frames', 'singly'], 1200, [MAX]),
    ]),
    cases(
      100,
      [
        ...synthetic(['frames', 'singly'], 1200, [10_000, 50_000]),
        ...recorded(),
        ...synthetic(['merged', 'frames', 'singly'], 1200, [MAX]),
        ...synthetic(['merged'], 1200, [50_000]),
      ],
      synthetic(['frames', 'singly'], 200, [50_000]),
    ),
    cases(
      2000,
      [],
      [
        ...synthetic(['frames', 'singly'], 1200, [50_000]),
        ...synthetic(['frames', 'singly'], 200, [50_000]),
        ...synthetic(['frames', 'singly'], 1200, [MAX]),
      ],
    ),
    cases(
      many,
      [...synthetic(['frames', 'merged'], 1200, [50_000]), ...synthetic(['singly'], 1200, [50_000, 50 * many, MAX])],
      [...synthetic(['frames', 'singly'], 200, [50_000]), ...synthetic(['frames'], 1200, [MAX])],
    ),
  ];
}

function quickCases(): RelayCases[] {
  const modest = [5000];
  return [
    cases(20, [
      ...synthetic(['frames', 'merged'], 1200, modest),
      ...synthetic(['singly'], 200, modest),
      ...recorded().slice(0, 1),
    ]),
  ];
}

function cases(streams: number, always: readonly Media[], once: readonly Media[] = []): RelayCases {
  const title = streams === 1 ? '1 stream' : `${streams} streams`;
  const made = [...once, ...always].map((media) => ({
    name: `${title}, ${mediaName(media)}`,
    media,
    once: once.includes(media),
  }));
  // What overloads a relay comes last.
  return {
    streams,
    cases: [...made.filter(({ media }) => isPaced(media)), ...made.filter(({ media }) => !isPaced(media))],
  };
}

/** Whether it has a rate, and is not as fast as possible. */
export const isPaced = (media: Media): boolean => media.pattern === 'replay' || media.rate !== MAX;

function synthetic(patterns: readonly Pattern[], size: number, rates: readonly number[]): Media[] {
  return patterns.flatMap((pattern) => rates.map((rate) => ({ pattern, size, rate })));
}

function recorded(): Media[] {
  return Object.values(RECORDINGS).map((name) => ({
    pattern: 'replay',
    file: join(ROOT, 'bench', 'recordings', name),
  }));
}

function mediaName(media: Media): string {
  if (media.pattern === 'replay') {
    const server = Object.entries(RECORDINGS).find(([, name]) => media.file.endsWith(name))?.[0];
    return `as recorded from ${server}`;
  }
  const { pattern, size, rate } = media;
  return `${pattern}, ${size} B, ${rate === MAX ? 'as fast as possible' : `${rate / 1000} kpps`}`;
}
