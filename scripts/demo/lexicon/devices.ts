/** Topics with a lens or a processor, and the words that every topic uses. */
import { lexicon, type Family, type Lexicon } from './types.js';

export const optics: Family = {
  shared: lexicon(
    `tripod, lens, mount, exposure, dark sky, eyepiece cap, dew, filter, adapter, sensor, sharp image, night, clear evening,
     focus, carrying case, cleaning cloth, remote shutter, battery pack, full moon, long exposure`,
    `focus in the dark, take a picture of the moon, keep dew off the lens, find a dark place, clean the glass,
     carry it up the hill, balance the mount, stack twenty frames, expose for thirty seconds, get a sharp image`,
    `the image is soft, dew covers the lens, the tripod shakes in the wind, the moon is too bright, clouds came in,
     the battery dies in the cold, the focus drifts, dust sits on the glass`,
    `Optika tripod, Nightfall meeting, Borealis filter, Zenith mount`,
  ),
  topics: {
    astronomy: lexicon(
      `telescope, star, planet, moon, eyepiece, comet, galaxy, orbit, meteor shower, satellite, nebula, observatory, eclipse,
       mirror, star chart, finder scope, star cluster, ring of Saturn, red planet, rocket launch, supernova, refractor,
       space probe, double star, light pollution map, asteroid, equatorial drive, dobsonian`,
      `find the galaxy, align the finder, collimate the mirror, watch the eclipse, split a double star, track a satellite,
       see the rings of Saturn, sketch the craters, read a star chart, count meteors, polar align the drive, grind a mirror,
       land a probe on the moon, observe a comet, visit the observatory`,
      `street lights drown the stars, the mirror is out of line, Jupiter is a blur, the comet was too faint, the drive lags,
       I cannot find a single galaxy, the finder points elsewhere, the planet sets too early, the launch was put off,
       the meteors never came, my eyes do not adapt`,
      `Kepler 200, Lyra nebula, Perihelion probe, Halden comet, Cassia cluster, Atlas launch, Mount Orrin observatory`,
    ),
    cameras: lexicon(
      `camera, flash, photo, roll of film, shutter, portrait, aperture, zoom lens, print, darkroom, negative, viewfinder,
       memory card, wide angle, light meter, studio, camera bag, slide, wedding shoot, macro lens, developer, contact sheet,
       lens hood, rangefinder, tele converter, softbox, bokeh, hot shoe`,
      `take a portrait, develop the film, bounce the flash, print in the darkroom, scan old negatives, shoot a wedding,
       set the aperture, meter the light, crop the photo, change the shutter speed, fix red eyes, load the camera,
       photograph a moving child, mount the slides, buy a used lens`,
      `the flash does not fire, the photos are too dark, the shutter sticks, the film tore in the camera, the prints have a cast,
       the zoom creeps, the card is corrupt, light leaks in at the back, all faces come out red, the viewfinder is dim,
       the negatives are scratched`,
      `Leitner M2, Praktis 35, Orwo film, Novaflex 50, Rolland flash, Hassel Street studio, Tamura zoom`,
    ),
  },
};

export const machines: Family = {
  shared: lexicon(
    `driver, disk, screen, computer, laptop, printer, network card, update, memory, error message, cable, keyboard, backup,
     boot menu, graphics card, port, speed test, manual, file, wireless adapter`,
    `boot from a usb stick, recover the files, get the printer to work, find the right driver, make a backup, update it safely,
     connect a second screen, free some space, speed up the laptop, reset everything`,
    `it freezes at boot, the screen stays black, the disk is full, it does not see the printer, the network drops,
     the update broke it, an error message pops up, it runs hot and slow`,
    `Northstar laptop, Inkwell 500, Helix card, Orion forum`,
  ),
  topics: {
    linux: lexicon(
      `kernel, shell, package, script, terminal, root password, partition, distribution, config file, window manager, server,
       mailing list, log file, bootloader, command line, module, mount point, cron job, desktop, compiler, swap file,
       home directory, permission, daemon, source tree, login shell, patch, symlink`,
      `compile the kernel, mount a partition, write a shell script, install a package, edit the config file, become root,
       read the log file, set the permissions, start the daemon, search the man page, log in over ssh, patch the source,
       switch to another distribution, pipe it into grep, schedule a cron job`,
      `the kernel panics, permission is denied, a package depends on an older one, the bootloader is gone, the daemon dies,
       the module does not load, the script works only as root, the compiler stops with an error, the terminal shows garbage,
       the partition will not mount, sound has no mixer`,
      `Pelican Linux, Grubby loader, Finch desktop, Kestrel kernel, Tuxford list, Marble shell, Lark package`,
    ),
    hardware: lexicon(
      `processor, motherboard, power supply, case, fan, monitor, hard drive, memory stick, slot, socket, heat sink, modem,
       sound card, jumper, mouse, floppy drive, thermal paste, cooling, voltage, chip, bios, bus, serial cable, ribbon cable,
       fuse, overclock, controller board, screw`,
      `build a quiet computer, replace the fan, overclock the processor, add a memory stick, swap the power supply,
       flash the bios, spread thermal paste, set the jumpers, fit a second drive, clean out the dust, test the voltage,
       solder a loose socket, mount the heat sink, upgrade the motherboard, daisy chain the drives`,
      `the fan howls, the board beeps three times, the power supply smells burnt, the drive clicks, a pin is bent,
       the monitor flickers, the slot is dead, it shuts down under load, the memory fails the test, sparks came out of the case,
       the jumper is missing`,
      `Titan 486 board, Quantex drive, Silentor fan, Raptor monitor, Volta supply, Coppermine chip, Zoom modem`,
    ),
  },
};

/** What tells nothing about a topic. */
export const generic: Lexicon = lexicon(
  `one, thing, new one, problem, kit, shop, website, price, set, cheap version, second hand one, thread, question, friend,
   answer, picture, group, member, weekend, video, old model, spare part, brand, box, gift, list, offer, season, idea, budget`,
  `do it properly, start again, save some money, buy a used one, ask in the shop, find a better way, get it right, fix it myself,
   give up, learn more, try something else, compare the prices, do it in winter, read the instructions, teach my kids, sell the old one`,
  `it does not work, I am stuck, the shop could not help, it is too expensive, I have no time, nothing has helped so far,
   it broke after a week, it takes for ever, the instructions are useless, nobody seems to know, the same thing happens again,
   it arrived late, I feel stupid, it got worse`,
  `Greenfield shop, Monday group, Smith guide, Bargain Barn`,
);
