// The page's own parts: files and camera, figures, copying. Nothing is fetched from elsewhere.
(() => {
  "use strict";
  const CLIP_SECONDS = 30;
  const zone = () => document.querySelector(".pk-zone");
  const say = (text, failed) => {
    const place = document.querySelector(".pk-sent");
    if (!place) return;
    place.textContent = text;
    place.classList.toggle("pk-failed", Boolean(failed));
  };

  // --- what is sent

  function send(file, name) {
    const home = zone().dataset.visit;
    const most = Number(zone().dataset.most);
    if (file.size > most) {
      say(`${name} has ${(file.size / 1e6).toFixed(1)} MB; the largest file accepted is ${most / 1e6} MB.`, true);
      return;
    }
    const request = new XMLHttpRequest();
    request.open("PUT", `${home}/source?name=${encodeURIComponent(name)}`);
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) {
        const share = Math.round((100 * event.loaded) / event.total);
        say(share < 100 ? `Sending ${name}: ${share} %` : `Looking at ${name} …`);
      }
    };
    request.onload = () => {
      let answer = {};
      try { answer = JSON.parse(request.responseText); } catch { /* a proxy's own page */ }
      if (request.status !== 200) {
        say(answer.error || `The server answered ${request.status}.`, true);
        return;
      }
      say("");
      document.querySelector("#pk-was-sent")?.click();
    };
    request.onerror = () => say(`${name} could not be sent: the server does not answer.`, true);
    say(`Sending ${name} …`);
    request.send(file);
  }

  document.addEventListener("change", (event) => {
    if (event.target.id === "pk-file" && event.target.files.length) {
      send(event.target.files[0], event.target.files[0].name);
      event.target.value = "";
    }
  });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      const over = zone();
      if (!over || !event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();  // a file that misses would replace the page
      over.classList.toggle("pk-over", kind === "dragover");
      const file = kind === "drop" && event.dataTransfer.files[0];
      if (file) send(file, file.name);
    });
  }
  document.addEventListener("paste", (event) => {
    const file = event.clipboardData?.files[0];
    if (file && zone() && !event.target.closest("input, textarea")) send(file, file.name);
  });

  // --- the camera

  let stream = null;
  let recorder = null;
  function closeCamera() {
    if (recorder?.state === "recording") recorder.stop();
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    const place = document.querySelector(".pk-camera");
    if (place) place.hidden = true;
  }
  async function openCamera() {
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } }, audio: false });
    } catch (error) {
      say(navigator.mediaDevices ? `The camera cannot be used: ${error.message}.`
        : "A browser gives the camera to pages of this machine or over https only.", true);
      return;
    }
    say("");
    const place = document.querySelector(".pk-camera");
    place.hidden = false;
    const video = place.querySelector("video");
    video.srcObject = stream;
    await video.play();
    place.querySelector("[data-camera=picture]").focus();
  }
  function takePicture() {
    const video = document.querySelector(".pk-camera video");
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => { closeCamera(); send(blob, "camera.jpg"); }, "image/jpeg", 0.92);
  }
  function recordClip(button) {
    if (recorder?.state === "recording") { recorder.stop(); return; }
    const type = ["video/webm;codecs=vp8", "video/webm", "video/mp4"].find((one) => MediaRecorder.isTypeSupported(one));
    const pieces = [];
    recorder = new MediaRecorder(stream, type ? { mimeType: type } : {});
    recorder.ondataavailable = (event) => pieces.push(event.data);
    recorder.onstop = () => {
      button.textContent = "Record a video";
      button.setAttribute("aria-pressed", "false");
      const blob = new Blob(pieces, { type: recorder.mimeType });
      recorder = null;
      closeCamera();
      send(blob, blob.type.includes("mp4") ? "camera.mp4" : "camera.webm");
    };
    recorder.start();
    const own = recorder;
    setTimeout(() => own.state === "recording" && own.stop(), CLIP_SECONDS * 1000);
    button.textContent = "Stop recording";
    button.setAttribute("aria-pressed", "true");
  }

  // --- what is pressed

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-camera], [data-copy], [data-download]");
    if (!button) return;
    if (button.dataset.camera === "open") openCamera();
    else if (button.dataset.camera === "close") closeCamera();
    else if (button.dataset.camera === "picture") takePicture();
    else if (button.dataset.camera === "clip") recordClip(button);
    else if ("copy" in button.dataset) copy(button);
    else download(event, button);
  });
  async function copy(button) {
    const text = button.closest(".pk-recipe").querySelector("code").textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(button.closest(".pk-recipe").querySelector("code"));
      button.textContent = "Selected: copy it";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }
  // Fetched first: an error is a sentence on the page then, and not a file of that name.
  async function download(event, link) {
    event.preventDefault();
    const refused = link.closest("ul").parentElement.querySelector("[data-refused]");
    link.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(link.href);
      if (!answer.ok) {
        refused.textContent = `${link.dataset.download}: ${(await answer.json()).error}`;
        refused.hidden = false;
        return;
      }
      refused.hidden = true;
      const header = answer.headers.get("content-disposition") || "";
      const named = /filename\*=utf-8''([^;]+)/i.exec(header) || /filename="([^"]+)"/.exec(header);
      const target = document.createElement("a");
      target.href = URL.createObjectURL(await answer.blob());
      target.download = named ? decodeURIComponent(named[1]) : link.dataset.download;
      target.click();
      setTimeout(() => URL.revokeObjectURL(target.href), 60000);
    } finally {
      link.removeAttribute("aria-busy");
    }
  }

  // --- both videos together

  document.addEventListener("play", (event) => pair(event.target)?.play(), true);
  document.addEventListener("pause", (event) => pair(event.target)?.pause(), true);
  document.addEventListener("seeked", (event) => {
    const other = pair(event.target);
    if (other && Math.abs(other.currentTime - event.target.currentTime) > 0.15) {
      other.currentTime = event.target.currentTime;
    }
  }, true);
  function pair(video) {
    const both = [...(video.closest?.(".pk-stage")?.querySelectorAll("video") || [])];
    return both.length === 2 ? both.find((one) => one !== video) : null;
  }

  // --- figures

  let library = null;
  const plotly = () => (library ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "posekit/plotly.js";
    script.onload = () => resolve(window.Plotly);
    script.onerror = reject;
    document.head.append(script);
  }));
  const known = new Map();  // address -> figures
  const fetched = (address) => {
    if (!known.has(address)) {
      known.clear();
      known.set(address, fetch(address).then((answer) => {
        if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
        return answer.json();
      }));
    }
    return known.get(address);
  };
  function colours() {
    const style = getComputedStyle(document.querySelector(".gradio-container"));
    const of = (name) => style.getPropertyValue(name).trim();
    return { text: of("--body-text-color"), grid: of("--border-color-primary"), font: style.fontFamily };
  }
  function layout(own) {
    const { text, grid, font } = colours();
    const axis = { gridcolor: grid, zerolinecolor: grid, linecolor: grid };
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: font, color: text, size: 13 },
      margin: { l: 48, r: 12, t: 10, b: 28 }, hovermode: "x",
      legend: { orientation: "h", y: -0.12, x: 0 },
      xaxis: { ...axis, ...own.xaxis }, yaxis: { ...axis, ...own.yaxis },
    };
  }
  const SETTINGS = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d"] };

  async function draw(place) {
    if (place.dataset.drawn || !place.offsetParent) return;  // not seen: drawn when it is
    place.dataset.drawn = "yes";
    place.innerHTML = '<p class="pk-none" role="status">Drawing …</p>';
    try {
      const [Plotly, found] = await Promise.all([plotly(), fetched(place.dataset.figures)]);
      place.textContent = "";
      if (place.dataset.what === "space") drawSpace(Plotly, place, found.space);
      else drawLines(Plotly, place, found[place.dataset.what]);
    } catch (error) {
      place.innerHTML = '<p class="pk-failed" role="alert"></p>';
      place.firstChild.textContent = `This cannot be drawn: ${error.message}.`;
    }
  }
  function element(kind, properties) {
    const made = Object.assign(document.createElement(kind), properties);
    return made;
  }
  function drawLines(Plotly, place, figures) {
    if (!figures.length) { place.append(element("p", { className: "pk-none", textContent: "Nobody was tracked." })); return; }
    const what = place.dataset.what;
    const chooser = element("select", { id: `pk-who-${what}` });
    figures.forEach((one, number) => chooser.append(new Option(one.title, number)));
    const row = element("div", { className: "pk-row" });
    const unit = element("span", { className: "pk-fine" });
    row.append(element("label", { htmlFor: chooser.id, textContent: "Who" }), chooser, unit);
    const plot = element("div", { className: "pk-plot" });
    plot.setAttribute("role", "figure");
    place.append(row, plot);
    const show = () => {
      const figure = figures[chooser.value];
      unit.textContent = `in ${figure.unit}`;
      plot.setAttribute("aria-label", `${what} of ${figure.title} over time; the table is in Files, format ${what === "angles" ? "angles" : "csv"}`);
      Plotly.react(plot, figure.data, layout(figure.layout), SETTINGS);
    };
    place.redraw = show;
    chooser.onchange = show;
    show();
  }
  function drawSpace(Plotly, place, space) {
    if (!space?.frames) { place.append(element("p", { className: "pk-none", textContent: "Nobody was found in 3D." })); return; }
    const slider = element("input", { type: "range", id: "pk-when", min: 0, max: space.frames.length - 1, value: 0, step: 1 });
    const when = element("output", { htmlFor: "pk-when" });
    const row = element("div", { className: "pk-row" });
    row.append(element("label", { htmlFor: "pk-when", textContent: "Time" }), slider, when);
    const plot = element("div", { className: "pk-plot pk-space" });
    plot.setAttribute("role", "figure");
    plot.setAttribute("aria-label", "Poses in 3D; turn the view by dragging, move in time with the slider");
    place.append(plot, row);
    const axis = (sides, title) => ({ range: sides, title: { text: title }, gridcolor: colours().grid, zeroline: false, showbackground: false });
    const show = () => {
      const frame = space.frames[slider.value];
      const { text, font } = colours();
      when.textContent = `${space.times[slider.value].toFixed(2)} s`;
      slider.setAttribute("aria-valuetext", when.textContent);
      const data = frame.map((person, number) => {
        const [x, y, z] = person.points;
        const ends = (axis) => space.links.flatMap(([from, to]) => [axis[from], axis[to], null]);
        return { type: "scatter3d", mode: "lines+markers", name: person.name, x: ends(x), y: ends(y), z: ends(z),
          hoverinfo: "name", line: { width: 6, color: space.colours[number % space.colours.length] },
          marker: { size: 3, color: space.colours[number % space.colours.length] } };
      });
      const cube = { aspectmode: "cube", uirevision: "stays",
        xaxis: axis(space.sides[0], "x"), yaxis: axis(space.sides[1], "y"), zaxis: axis(space.sides[2], "z"),
        camera: { eye: { x: 0.9, y: -1.6, z: 0.5 } } };
      Plotly.react(plot, data, { scene: cube, uirevision: "stays", showlegend: frame.length > 1, paper_bgcolor: "rgba(0,0,0,0)",
        font: { family: font, color: text, size: 12 }, margin: { l: 0, r: 0, t: 0, b: 0 } }, SETTINGS);
    };
    place.redraw = show;
    slider.oninput = show;
    show();
  }
  const all = () => document.querySelectorAll("[data-figures]");
  let planned = 0;
  new MutationObserver(() => {
    cancelAnimationFrame(planned);
    planned = requestAnimationFrame(() => all().forEach(draw));
  }).observe(document.documentElement, { childList: true, subtree: true, attributes: true, attributeFilter: ["style", "class", "hidden"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    setTimeout(() => all().forEach((place) => place.redraw?.()), 200);
  });
  addEventListener("pagehide", closeCamera);
  addEventListener("pageshow", (event) => event.persisted && location.reload());  // its files are gone
})();
