"""What happens to a packet that is ready: it is drawn, shown, written, and given as a result."""

from __future__ import annotations

import dataclasses
import functools
from collections import deque
from collections.abc import Iterable, Iterator

from posekit.drawing.drawer import Drawer, Look
from posekit.drawing.window import ShowOptions, Window
from posekit.io.write import ResultWriter
from posekit.result import PoseResult
from posekit.stages.packet import Packet

__all__ = ["deliver"]


def deliver(
    packets: Iterable[Packet],
    options: ShowOptions,
    *,
    drawer: Drawer,
    writer: ResultWriter,
    window: Window | None,
    ahead: int,
) -> Iterator[PoseResult]:
    """Yields results in order; an image's comes as soon as its files are there.

    Files are written in another thread while the next packets are made. After an error the results
    that were written before it still come. It ends when the user closes the window.

    Args:
        packets: in order.
        options: what is shown.
        drawer: draws them, in the writer's thread where nobody needs the drawing here.
        writer: writes them.
        window: where they are shown.
        ahead: the most images that may wait for their files while others are computed.

    Raises:
        OutputError: a result could not be written.
    """
    # With each the number of packets to be written before it; 0 of clips, whose files grow.
    held: deque[tuple[int, PoseResult]] = deque()

    def take() -> PoseResult:
        count, result = held.popleft()
        writer.wait_for(count)
        return result

    if options.return_image:
        packets = _with_images(packets, drawer.look)
    try:
        for packet in packets:
            draw = functools.partial(drawer.draw, packet)
            drawing = draw() if options.return_vis or window is not None else None
            read = functools.partial(drawer.image_of, packet)
            if drawing is not None and writer.crops is not None and packet.image is None:
                # Here and now: the drawer reads a clip in the order in which it is asked.
                packet = dataclasses.replace(packet, image=read())
            packet = packet.having(visualization=drawing)
            count = writer.write(packet, draw, read)
            if options.return_image and packet.image is not None:
                # The writer may still draw on its own, and stages look back at it.
                packet = packet.having(image=packet.image.copy())
            if window is not None and drawing is not None:
                if not window.show(drawing, options.wait_time if packet.clip is None else None):
                    break
                if not options.return_vis:
                    packet = packet.having(visualization=None)
            awaited = count if packet.clip is None else 0
            held.append((awaited, packet.result))
            while held and (len(held) > ahead or not awaited):
                yield take()
    except Exception:
        while held:
            yield take()
        raise
    while held:
        yield take()


def _with_images(packets: Iterable[Packet], look: Look) -> Iterator[Packet]:
    """The packets with their images, those that were not kept read once more.

    By another reader than the drawer's, which is asked in the writer's thread, later.
    """
    with Drawer(look) as reader:
        for packet in packets:
            yield dataclasses.replace(packet, image=reader.image_of(packet))
