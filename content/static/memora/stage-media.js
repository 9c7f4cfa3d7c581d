/* Pictures and videos in a stage's form: upload, choose one of the library, or enter a URL. */
"use strict";

(() => {
  const { element: el, fill, stageSettings: settings } = Memora;
  if (!settings) return;
  const { Line } = Memora.stageFields;
  const { texts, urls } = settings;

  const KINDS = {
    image: { first: texts.upload_image, accept: "image/png,image/jpeg,image/webp,image/gif" },
    video: { first: texts.upload_video, accept: "video/mp4,video/webm" },
  };
  const running = new Set();

  /* Return whether a running upload blocks saving; if so, show a message. */
  Memora.blockForUploads = () => {
    for (const upload of running) upload.hold();
    return running.size > 0;
  };

  /* A button that uploads a file, with a progress line. `done(address, file)` is called with
   * the address from the server, `failed()` after an upload that was refused or stopped. */
  class Upload {
    constructor(kind, done, failed = () => {}) {
      this.kind = kind;
      this.done = done;
      this.failed = failed;
      this.file = el("input", {
        type: "file",
        accept: KINDS[kind].accept,
        class: "media-file",
        "aria-label": KINDS[kind].first,
        on: { change: () => this.file.files[0] && this.send(this.file.files[0]) },
      });
      this.button = el("button", {
        type: "button",
        class: "media-upload",
        text: KINDS[kind].first,
        on: { click: () => this.file.click() },
      });
      this.progress = el("progress", { max: 100, hidden: true });
      this.state = el("span", { class: "media-state", role: "status" });
      this.stop = el("button", {
        type: "button",
        class: "media-cancel",
        hidden: true,
        text: texts.cancel,
        on: { click: () => this.cancel() },
      });
      this.line = el("span", { class: "media-progress" }, this.progress, this.state, this.stop);
    }

    send(file) {
      const body = new FormData();
      body.append("file", file);
      const request = new XMLHttpRequest();
      this.request = request;
      this.isHolding = false;
      running.add(this);
      request.open("POST", urls[this.kind]);
      request.setRequestHeader("X-CSRFToken", Memora.token());
      request.upload.onprogress = (event) => {
        if (!event.lengthComputable) return;
        const share = Math.round((100 * event.loaded) / event.total);
        this.progress.value = share;
        if (!this.isHolding) this.state.textContent = fill(texts.uploading, { share: `${share}%` });
      };
      request.onload = () => this.answered(request, file);
      request.onerror = () => this.refused(texts.upload_failed);
      request.onabort = () => this.refused("");
      this.progress.value = 0;
      this.progress.hidden = this.stop.hidden = false;
      this.button.disabled = true;
      request.send(body);
    }

    answered(request, file) {
      let answer = {};
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        // not JSON: the general message below is enough
      }
      const address = answer.source || answer.url;
      if (request.status === 200 && address) {
        this.ended("");
        this.done(address, file);
      } else if (request.status === 401 || new URL(request.responseURL).pathname !== urls[this.kind]) {
        this.refused("");
        Memora.showSignedOut(this.state);
      } else if (request.status === 413) {
        this.refused(texts.too_large);
      } else {
        this.refused(answer.error || texts.upload_failed);
      }
    }

    refused(message) {
      this.ended(message);
      this.failed();
    }

    ended(message) {
      this.progress.hidden = this.stop.hidden = true;
      this.button.disabled = false;
      this.state.textContent = message;
      this.file.value = "";
      this.request = null;
      running.delete(this);
    }

    cancel() {
      this.request?.abort();
    }

    hold() {
      this.isHolding = true;
      this.state.textContent = texts.wait_for_upload;
      this.stop.focus();
    }
  }

  /* Upload pictures one after the other, with the progress in `place`. Resolves with their
   * addresses; with null if one was refused, whose message stays there. */
  Memora.uploadPictures = async (files, place) => {
    const addresses = [];
    for (const file of files) {
      const address = await new Promise((resolve) => {
        const upload = new Upload("image", resolve, () => resolve(null));
        place.replaceChildren(upload.line);
        upload.send(file);
      });
      if (!address) return null;
      addresses.push(address);
    }
    place.replaceChildren();
    return addresses;
  };

  const CHOICES = {
    image: { kind: "picture", title: texts.choose_picture, none: texts.no_pictures },
    video: { kind: "video", title: texts.choose_video, none: texts.no_videos },
  };
  const SEARCH_DELAY = 250;

  /* Show a dialog to choose a picture or video of the library, or to upload one. Resolves with
   * its `address`, its `captions` and, if `described`, its description as `alt`; with nothing
   * if the dialog is closed. */
  function chooseMedia(what, { described = false } = {}) {
    return new Promise((resolve) => {
      let chosen;
      let timer;
      const choose = (file) => {
        chosen = { ...file, alt: alt?.value || file.alt || "" };
        dialog.close();
      };
      const { title } = CHOICES[what];
      const upload = new Upload(what, (address) => choose({ address, captions: [] }));
      const alt = described ? el("input", { type: "text", dir: "auto", id: "picture-alt" }) : null;
      const grid = el("div", { class: `picture-grid ${what}-grid` });
      const search = el("input", {
        type: "search",
        dir: "auto",
        placeholder: texts.search_media,
        "aria-label": texts.search_media,
        on: {
          input: () => {
            clearTimeout(timer);
            timer = setTimeout(() => showChoices(grid, what, search.value, choose), SEARCH_DELAY);
          },
        },
      });
      const dialog = el(
        "dialog",
        { class: "admin-dialog picture-dialog", "aria-label": title },
        el("h2", { text: title }),
        alt && el("p", {}, el("label", { for: "picture-alt", text: texts.picture_alt }), alt),
        el("p", { class: "media-choose" }, upload.button, upload.file, search, upload.line),
        grid,
        el("p", {}, el("button", { type: "button", text: texts.cancel, on: { click: () => dialog.close() } })),
      );
      dialog.addEventListener("close", () => {
        clearTimeout(timer);
        upload.cancel();
        dialog.remove();
        resolve(chosen);
      });
      document.body.append(dialog);
      dialog.showModal();
      showChoices(grid, what, "", choose);
    });
  }

  /* Resolves with `src` and, if `described`, `alt`. */
  Memora.choosePicture = async (options) => {
    const chosen = await chooseMedia("image", options);
    return chosen && { src: chosen.address, alt: chosen.alt };
  };

  async function showChoices(grid, what, words, choose) {
    const { kind, title, none } = CHOICES[what];
    grid.dataset.words = words;
    try {
      const answer = await fetch(`${urls.recent_media}?${new URLSearchParams({ kind, q: words })}`);
      if (answer.redirected) {
        Memora.showSignedOut(grid);
        return;
      }
      const { files } = await answer.json();
      if (grid.dataset.words !== words) return; // a later search is running
      grid.replaceChildren(
        ...files.map((file) =>
          el(
            "button",
            {
              type: "button",
              "aria-label": `${title}: ${file.alt || file.name}`,
              on: { click: () => choose(file) },
            },
            what === "image" ? el("img", { src: file.address, alt: "", loading: "lazy" }) : null,
            el("small", { dir: "auto", text: file.name }),
          ),
        ),
      );
      if (!files.length) grid.textContent = words ? texts.nothing_found : none;
    } catch {
      grid.textContent = texts.no_answer;
    }
  }

  class Media extends Line {
    get kind() {
      return "image";
    }

    makeControl() {
      const address = super.makeControl();
      address.placeholder = texts.or_address;
      this.look = el("div", { class: "media-look" });
      this.upload = new Upload(this.kind, (address, file) => {
        this.onInput(address);
        this.keep(file);
      });
      const { button, file, line } = this.upload;
      return el(
        "div",
        { class: `media media-${this.kind}` },
        this.look,
        el("span", { class: "media-choose" }, button, file, this.chooser(), address),
        line,
      );
    }

    chooser() {
      const choose = async () => {
        const chosen = await Memora.choosePicture();
        if (chosen) this.onInput(chosen.src);
      };
      return el("button", { type: "button", class: "media-recent", text: texts.recent, on: { click: choose } });
    }

    onInput(value) {
      super.onInput(value);
      this.show();
    }

    show() {
      super.show();
      if (!this.look) return;
      this.upload.button.textContent = this.value ? texts.replace : KINDS[this.kind].first;
      if (this.look.dataset.shown === (this.value ?? "")) return;
      this.look.dataset.shown = this.value ?? "";
      this.look.replaceChildren(...(this.value ? [this.picture(this.value)] : []));
    }

    picture(url) {
      if (!/^(https:\/\/|\/(?!\/))/.test(url)) return "";
      return el("img", { src: url, alt: "", loading: "lazy" });
    }

    keep() {}
  }

  const VIDEO_PAGE = /^\s*(https?:)?(\/\/)?([a-z]+\.)?(youtube(-nocookie)?\.com|youtu\.be|vimeo\.com)\//i;

  class Video extends Media {
    get kind() {
      return "video";
    }

    chooser() {
      const choose = async () => {
        const chosen = await chooseMedia("video");
        if (!chosen) return;
        this.onInput(chosen.address);
        if (chosen.captions.length) this.keepProperty("captions", chosen.captions);
      };
      return el("button", {
        type: "button",
        class: "media-recent",
        text: texts.recent_videos,
        on: { click: choose },
      });
    }

    /* Set another field of the stage, such as the length. */
    keepProperty(name, value) {
      if (!this.parent?.schema.properties[name]) return;
      this.parent.addObjectProperty(name);
      this.parent.editors[name].setValue(value);
      this.parent.onChange(true);
      this.parent.refreshValue();
      this.onChange(true);
    }

    picture(source) {
      if (VIDEO_PAGE.test(source)) return ""; // not a file; the preview shows its player
      const foreign = source.startsWith("https://");
      const url = foreign ? source : `${urls.watch}?source=${encodeURIComponent(source)}`;
      return el("video", { src: url, controls: true, preload: "metadata" });
    }

    /* Set the length from the file, so that the editor does not enter it. */
    keep(file) {
      const probe = document.createElement("video");
      probe.preload = "metadata";
      probe.src = URL.createObjectURL(file);
      probe.onloadedmetadata = () => {
        URL.revokeObjectURL(probe.src);
        if (!Number.isFinite(probe.duration)) return;
        this.keepProperty("duration", Math.max(1, Math.round(probe.duration)));
      };
    }
  }

  Object.assign(JSONEditor.defaults.editors, { "memora-image": Media, "memora-video": Video });
})();
